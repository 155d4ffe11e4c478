import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Signed notes: c2sp.org/signed-note, with Ed25519 over the text (01) and cosignatures with a time (04). */
final class Notes {
    static final byte SIGNATURE = 1;
    static final byte COSIGNATURE = 4;
    private static final int LENGTH_MAX = 1 << 20;

    /** Who may sign: a name, what kind of signature, and the key. */
    static final class Signer {
        final String name;
        final byte kind;
        final byte[] key;

        Signer(String name, byte kind, byte[] key) {
            this.name = name;
            this.kind = kind;
            this.key = key;
        }

        byte[] keyId() {
            return Arrays.copyOf(Bytes.sha256(Bytes.utf8(name), new byte[] {'\n', kind}, key), 4);
        }

        /** A verifier key: name, key id in hex and base64 of kind and key, joined by plus signs. */
        static Signer read(String written) {
            String[] parts = written.split("\\+", 3);
            if (parts.length != 3 || parts[0].isEmpty()) throw new Refused("no verifier key");
            byte[] kindAndKey = Bytes.fromBase64(parts[2], "the verifier key");
            if (kindAndKey.length != 33) throw new Refused("no verifier key of Ed25519");
            byte[] key = Ed25519.checked(Arrays.copyOfRange(kindAndKey, 1, 33));
            Signer signer = new Signer(parts[0], kindAndKey[0], key);
            if (!Bytes.hex(signer.keyId()).equals(parts[1])) throw new Refused("the verifier key's id is not its own");
            return signer;
        }
    }

    /** The text, with the line feed of its last line, and the lines of signatures. */
    final String text;
    private final List<String> signatures;

    Notes(String note) {
        if (note.length() > LENGTH_MAX) throw new Refused("too long a note");
        if (!note.endsWith("\n")) throw new Refused("the note does not end with a line feed");
        for (char c : note.toCharArray()) {
            if (c < ' ' && c != '\n') throw new Refused("a control character in the note");
        }
        int gap = note.lastIndexOf("\n\n");
        if (gap < 0) throw new Refused("no empty line before the signatures");
        text = note.substring(0, gap + 1);
        String[] lines = note.substring(gap + 2).split("\n", -1);
        signatures = List.of(lines).subList(0, lines.length - 1);
        if (signatures.isEmpty()) throw new Refused("no signature");
        for (String line : signatures) {
            String[] words = line.split(" ", -1);
            if (words.length != 3 || !words[0].equals("\u2014") || words[1].isEmpty() || words[1].contains("+")) {
                throw new Refused("this is no line of a signature");
            }
            if (Bytes.fromBase64(words[2], "a signature").length < 5) throw new Refused("too short a signature");
        }
    }

    /** Every time of a cosignature of this signer, or 0 for a plain one; a line of theirs that fails spoils the note. */
    List<Long> signedBy(Signer signer) {
        List<Long> times = new ArrayList<>();
        for (String line : signatures) {
            String[] words = line.split(" ", -1);
            byte[] signature = Bytes.fromBase64(words[2], "a signature");
            if (!words[1].equals(signer.name) || !Arrays.equals(Arrays.copyOf(signature, 4), signer.keyId())) continue;
            byte[] rest = Arrays.copyOfRange(signature, 4, signature.length);
            long time = 0;
            byte[] message = Bytes.utf8(text);
            if (signer.kind == COSIGNATURE) {
                if (rest.length != 72) throw new Refused("a cosignature has 72 bytes");
                time = ByteBuffer.wrap(rest).getLong();
                if (time < 0) throw new Refused("a time beyond all times");
                message = Bytes.utf8("cosignature/v1\ntime " + time + "\n" + text);
                rest = Arrays.copyOfRange(rest, 8, 72);
            } else if (signer.kind != SIGNATURE) {
                throw new Refused("an unknown kind of signature");
            }
            if (!Ed25519.verifies(signer.key, message, rest)) throw new Refused("a signature of " + signer.name + " fails");
            times.add(time);
        }
        return times;
    }
}
