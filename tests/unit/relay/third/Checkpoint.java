import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A checkpoint that was believed, and what is held against it: events, a later checkpoint, all bodies. */
final class Checkpoint {
    private static final Pattern ORIGIN = Pattern.compile("chainbell/log/([^/\\s+]+)/([1-9][0-9]*)/(0|[1-9][0-9]*)");
    private static final Pattern NUMBER = Pattern.compile("0|[1-9][0-9]{0,15}");

    String origin;
    String merchantId;
    long epoch;
    long epochStart;
    long size;
    byte[] root;
    long timeS;
    List<String> witnesses = new ArrayList<>();

    static long number(String text, String what) {
        if (!NUMBER.matcher(text).matches()) throw new Refused(what + " is no number");
        long number = Long.parseLong(text);
        if (number > Json.WHOLE_MAX) throw new Refused(what + " is too large");
        return number;
    }

    static Checkpoint read(String written, String merchantId, String publicKey, List<String> witnessKeys) {
        byte[] key = Ed25519.publicKey(publicKey);
        Notes note = new Notes(written);
        String[] lines = note.text.split("\n", -1);
        if (lines.length != 4) throw new Refused("a checkpoint has three lines");
        Checkpoint read = new Checkpoint();
        Matcher origin = ORIGIN.matcher(lines[0]);
        if (!origin.matches()) throw new Refused("this is not the origin of a log");
        read.origin = lines[0];
        read.merchantId = origin.group(1);
        if (!read.merchantId.equals(merchantId)) throw new Refused("this is the log of another merchant");
        read.epoch = number(origin.group(2), "the epoch");
        read.epochStart = number(origin.group(3), "the beginning of the epoch");
        read.size = number(lines[1], "the size");
        if (read.size < 1) throw new Refused("a log without events is not signed");
        if (read.size < read.epochStart) throw new Refused("the log is smaller than at the beginning of its epoch");
        if (read.epoch == 1 && read.epochStart > 0) throw new Refused("the first epoch begins with the log");
        read.root = Bytes.fromBase64(lines[2], "the root");
        if (read.root.length != 32) throw new Refused("the root has not 32 bytes");

        if (note.signedBy(new Notes.Signer(read.origin, Notes.SIGNATURE, key)).isEmpty()) {
            throw new Refused("the log's key did not sign this");
        }
        List<Long> times = note.signedBy(new Notes.Signer(read.origin, Notes.COSIGNATURE, key));
        if (times.isEmpty()) throw new Refused("the log's key did not say when this was so");
        read.timeS = Collections.max(times);
        for (String witnessKey : witnessKeys) {
            Notes.Signer witness = Notes.Signer.read(witnessKey);
            if (witness.kind != Notes.COSIGNATURE) throw new Refused("a witness signs with kind 04");
            if (!note.signedBy(witness).isEmpty()) read.witnesses.add(witness.name);
        }
        return read;
    }

    /** The event, by its body, stands under this checkpoint. Its place is what the body says. */
    void includes(byte[] body, List<byte[]> path) {
        Map<String, Object> event = Events.read(body);
        if (!merchantId.equals(event.get("merchant_id"))) throw new Refused("the event of another merchant");
        long sequence = Json.whole(event.get("sequence"), "sequence");
        if (sequence < 1) throw new Refused("sequences begin with 1");
        Merkle.included(Merkle.leaf(Bytes.sha256(body)), sequence - 1, size, path, root);
    }

    /** What the API answers to /inclusion, of which nothing is believed but the path. */
    void includesAsAnswered(byte[] body, Map<String, Object> inclusion) {
        Map<String, Object> event = Events.read(body);
        long sequence = Json.whole(event.get("sequence"), "sequence");
        if (!event.get("id").equals(inclusion.get("event_id"))) throw new Refused("the inclusion of another event");
        if (Json.whole(inclusion.get("sequence"), "sequence") != sequence) throw new Refused("another sequence");
        if (Json.whole(inclusion.get("leaf_index"), "leaf_index") != sequence - 1) throw new Refused("another leaf");
        if (Json.whole(inclusion.get("tree_size"), "tree_size") != size) throw new Refused("another tree");
        if (!Bytes.hex(Bytes.sha256(body)).equals(inclusion.get("body_hash"))) throw new Refused("another body");
        includes(body, path(inclusion.get("path")));
    }

    static List<byte[]> path(Object written) {
        List<String> digits = Json.texts(written, "the path");
        if (digits.size() > Merkle.PATH_MAX) throw new Refused("too long a path");
        List<byte[]> path = new ArrayList<>();
        for (String one : digits) path.add(Bytes.hash(one, "a hash of the path"));
        return path;
    }

    /** c2sp.org/tlog-proof: index, path and checkpoint in one text. */
    static Checkpoint ofProof(String proof, byte[] body, String merchantId, String publicKey, List<String> witnesses) {
        int gap = proof.indexOf("\n\n");
        if (gap < 0) throw new Refused("no empty line before the checkpoint");
        Checkpoint checkpoint = read(proof.substring(gap + 2), merchantId, publicKey, witnesses);
        List<String> lines = new ArrayList<>(List.of(proof.substring(0, gap).split("\n", -1)));
        if (!lines.remove(0).equals("c2sp.org/tlog-proof@v1")) throw new Refused("this is no tlog-proof");
        if (!lines.isEmpty() && lines.get(0).startsWith("extra ")) {
            Bytes.fromBase64(lines.remove(0).substring(6), "extra");
        }
        if (lines.isEmpty() || !lines.get(0).startsWith("index ")) throw new Refused("no index");
        long index = number(lines.remove(0).substring(6), "the index");
        if (lines.size() > Merkle.PATH_MAX) throw new Refused("too long a path");
        List<byte[]> path = new ArrayList<>();
        for (String line : lines) {
            byte[] hash = Bytes.fromBase64(line, "a hash of the path");
            if (hash.length != 32) throw new Refused("a hash has 32 bytes");
            path.add(hash);
        }
        if (Json.whole(Events.read(body).get("sequence"), "sequence") != index + 1) {
            throw new Refused("the proof is of another place in the log");
        }
        checkpoint.includes(body, path);
        return checkpoint;
    }

    /** A transaction's calldata or a script's bytes hold the hash of exactly this note. */
    static void anchored(String note, String hex) {
        String lower = hex.toLowerCase(Locale.ROOT);
        byte[] bytes = Bytes.fromHex(lower.startsWith("0x") ? lower.substring(2) : lower, "the anchor");
        byte[] payload = Bytes.join(Bytes.utf8("cbl1"), Bytes.sha256(Bytes.utf8(note)));
        byte[] script = Bytes.join(new byte[] {0x6a, 0x24}, payload);
        if (!Arrays.equals(bytes, payload) && !Arrays.equals(bytes, script)) throw new Refused("another note, or none");
    }

    /** This one continues the earlier one. */
    void continues(Checkpoint before, List<byte[]> path) {
        if (!before.merchantId.equals(merchantId)) throw new Refused("the logs of two merchants");
        if (before.epoch > epoch) throw new Refused("the later checkpoint is of an earlier epoch");
        if (before.epoch == epoch && before.epochStart != epochStart) throw new Refused("one epoch with two beginnings");
        if (timeS < before.timeS) throw new Refused("the later checkpoint was signed before the earlier one");
        if (before.epoch < epoch && before.size > epochStart) {
            throw new HistoryLost((before.size - epochStart) + " events of those signed before are gone");
        }
        Merkle.consistent(before.size, before.root, size, root, path);
    }

    /** All bodies of the log, and nothing else, have this root. */
    void isOf(List<byte[]> bodies) {
        Events.chain(bodies, merchantId);
        if (bodies.size() != size) throw new Refused("there are more bodies or fewer than were signed");
        List<byte[]> leaves = new ArrayList<>();
        for (byte[] body : bodies) leaves.add(Merkle.leaf(Bytes.sha256(body)));
        if (Json.whole(Events.read(bodies.get(0)).get("sequence"), "sequence") != 1) {
            throw new Refused("the bodies do not begin with the first event");
        }
        if (!Arrays.equals(Merkle.root(leaves), root)) throw new Refused("the bodies have another root");
    }
}
