import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The proof of a deposit, chainbell-proof-1, by the ten steps of docs/proofs.md. */
final class Deposits {
    private static final int TEXT_MAX = 12 << 20;
    private static final int BYTES_MAX = 4 << 20;
    private static final int DEPTH_MAX = 32;
    private static final int NODES_MAX = 12;
    private static final byte[] TRANSFER =
            Bytes.fromHex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef", "a constant");

    final Map<String, Object> proof;
    final Map<String, Object> deposit;
    final String chain;
    final String kind;
    final String asset;
    final String recipient;
    final String blockHash;
    final long height;
    BigInteger amount;
    long blockTimeS;

    Deposits(byte[] json, String knownHash) {
        if (json.length > TEXT_MAX) throw new Refused("too large a proof");
        proof = Json.object(Json.parse(json, DEPTH_MAX), "the proof");
        deposit = Json.object(proof.get("deposit"), "deposit");
        Map<String, Object> block = Json.object(proof.get("block"), "block");

        if (!"chainbell-proof-1".equals(proof.get("format"))) throw new Refused("an unknown format");
        chain = Json.text(proof.get("chain"), "chain");
        if (!chain.matches("eip155:[1-9][0-9]*")) throw new Refused("an unknown chain");
        if (!chain.equals(deposit.get("chain"))) throw new Refused("the deposit is of another chain");

        String txHash = Json.text(deposit.get("tx_hash"), "tx_hash");
        kind = Json.text(deposit.get("kind"), "kind");
        asset = Json.text(deposit.get("asset"), "asset");
        recipient = Json.text(deposit.get("recipient"), "recipient");
        long n = Json.whole(deposit.get("n"), "n");
        String id = Bytes.idOfLines("dep_", "chainbell-deposit-1", Json.text(deposit.get("merchant_id"), "merchant_id"),
                chain, txHash, kind, asset, recipient, Long.toString(n));
        if (!id.equals(deposit.get("id"))) throw new Refused("the id is not that of this deposit");

        byte[] contract = null;
        if (kind.equals("native")) {
            if (!asset.matches(chain + "/slip44:(0|[1-9][0-9]*)")) throw new Refused("this is no native coin");
        } else if (kind.equals("token")) {
            if (!asset.startsWith(chain + "/erc20:")) throw new Refused("this is no token of the chain");
            contract = bytes(asset.substring(chain.length() + 7), 20, "the contract");
        } else {
            throw new Refused("an unknown kind");
        }

        blockHash = Json.text(block.get("hash"), "block.hash");
        height = Json.whole(block.get("height"), "block.height");
        byte[] header = bytes(proof.get("header"), -1, "header");
        byte[] headerHash = Keccak.of(header);
        if (!Arrays.equals(headerHash, bytes(blockHash, 32, "block.hash"))) throw new Refused("the header has another hash");
        if (!Arrays.equals(headerHash, bytes(knownHash, 32, "the hash you know"))) throw new Refused("not the block you know");
        List<Rlp> fields = Rlp.whole(header).list("the header");
        if (fields.size() < 15 || fields.size() > 26) throw new Refused("a header has 15 to 26 fields");
        byte[] transactionsRoot = fields.get(4).bytes(32, "the transactions root");
        byte[] receiptsRoot = fields.get(5).bytes(32, "the receipts root");
        if (!fields.get(8).number("the height").equals(BigInteger.valueOf(height))) throw new Refused("another height");
        BigInteger time = fields.get(11).number("the time");
        if (time.bitLength() > 53) throw new Refused("a time beyond all times");
        blockTimeS = time.longValueExact();

        byte[] key = Rlp.encode(Json.whole(proof.get("index"), "index"));
        List<byte[]> transactionPath = nodes(proof.get("transaction"), "transaction");
        List<byte[]> receiptPath = nodes(proof.get("receipt"), "receipt");
        long size = header.length;
        for (byte[] node : transactionPath) size += node.length;
        for (byte[] node : receiptPath) size += node.length;
        if (size > BYTES_MAX) throw new Refused("too large a proof");
        byte[] transaction = walk(transactionsRoot, key, transactionPath);
        byte[] receipt = walk(receiptsRoot, key, receiptPath);
        if (!Arrays.equals(Keccak.of(transaction), bytes(txHash, 32, "tx_hash"))) throw new Refused("another transaction");

        List<Rlp> said = untyped(receipt, "the receipt");
        if (said.size() < 4) throw new Refused("no receipt");
        byte[] status = said.get(0).bytes(-1, "the status");
        boolean succeeded = Arrays.equals(status, new byte[] {1});
        if (!succeeded && status.length != 0) throw new Refused("a receipt that does not say whether it succeeded");
        byte[] to = bytes(recipient, 20, "recipient");
        List<BigInteger> moves = contract == null
                ? native_(transaction, succeeded, to) : tokens(said.get(3), succeeded, contract, to);
        if (n >= moves.size()) throw new Refused("no such move");
        amount = moves.get((int) n);
        String digits = Json.text(deposit.get("amount_base_units"), "amount_base_units");
        if (!digits.equals(amount.toString())) throw new Refused("another amount");
    }

    private static byte[] bytes(Object written, int length, String what) {
        String text = Json.text(written, what);
        if (!text.startsWith("0x")) throw new Refused(what + " does not begin with 0x");
        byte[] bytes = Bytes.fromHex(text.substring(2), what);
        if (length >= 0 && bytes.length != length) throw new Refused(what + " has not " + length + " bytes");
        return bytes;
    }

    private static List<byte[]> nodes(Object written, String what) {
        List<String> all = Json.texts(written, what);
        if (all.isEmpty() || all.size() > NODES_MAX) throw new Refused(what + " has no node, or too many");
        List<byte[]> nodes = new ArrayList<>();
        for (String one : all) nodes.add(bytes(one, -1, what));
        return nodes;
    }

    /** From the root along the key's half bytes to the value. */
    private static byte[] walk(byte[] root, byte[] key, List<byte[]> nodes) {
        int[] halves = new int[key.length * 2];
        for (int i = 0; i < halves.length; i++) halves[i] = (key[i / 2] >> (i % 2 == 0 ? 4 : 0)) & 15;
        int used = 0;
        int place = 0;
        byte[] named = root;
        Rlp inside = null;
        while (true) {
            List<Rlp> items;
            if (inside != null) {
                items = inside.list("a node");
            } else {
                if (used == nodes.size()) throw new Refused("the path ends before the key");
                byte[] node = nodes.get(used++);
                if (used > 1 && node.length < 32) throw new Refused("a node that stands inside another is listed");
                if (!Arrays.equals(Keccak.of(node), named)) throw new Refused("a node that the one before does not name");
                items = Rlp.whole(node).list("a node");
            }
            Rlp next;
            if (items.size() == 17) {
                if (place == halves.length) return end(items.get(16), used, nodes);
                next = items.get(halves[place++]);
            } else if (items.size() == 2) {
                byte[] path = items.get(0).bytes(-1, "the path of a node");
                if (path.length == 0) throw new Refused("no path in a node");
                int flag = (path[0] >> 4) & 15;
                boolean odd = (flag & 1) == 1;
                if (flag > 3 || (!odd && (path[0] & 15) != 0)) throw new Refused("no hex-prefix");
                for (int i = odd ? 1 : 2; i < path.length * 2; i++) {
                    int half = (path[i / 2] >> (i % 2 == 0 ? 4 : 0)) & 15;
                    if (place == halves.length || halves[place++] != half) throw new Refused("the path leads elsewhere");
                }
                if (flag < 2 && path.length * 2 == (odd ? 1 : 2)) throw new Refused("a node that leads nowhere");
                if (flag >= 2) {
                    if (place != halves.length) throw new Refused("the path ends before the key");
                    return end(items.get(1), used, nodes);
                }
                next = items.get(1);
            } else {
                throw new Refused("a node has 17 items, or 2");
            }
            if (next.isList()) {
                if (next.length() >= 32) throw new Refused("a node of 32 bytes stands inside another");
                inside = next;
            } else {
                inside = null;
                named = next.bytes(32, "the name of a node");
            }
        }
    }

    private static byte[] end(Rlp value, int used, List<byte[]> nodes) {
        if (used != nodes.size()) throw new Refused("nodes stand behind the end of the path");
        byte[] bytes = value.bytes(-1, "the value");
        if (bytes.length == 0) throw new Refused("the path leads to nothing");
        return bytes;
    }

    private static List<Rlp> untyped(byte[] bytes, String what) {
        if (bytes.length > 0 && bytes[0] >= 1) return Rlp.whole(Arrays.copyOfRange(bytes, 1, bytes.length)).list(what);
        return Rlp.whole(bytes).list(what);
    }

    /** Type and number of fields; where the recipient and the value stand. */
    private static final int[][] FORMS = {
        {0, 9, 3, 4}, {1, 11, 4, 5}, {2, 12, 5, 6}, {3, 14, 5, 6}, {4, 13, 5, 6}, {0x7a, 14, 5, 6}, {0x7b, 13, 5, 6},
        {0x64, 5, 3, 4}, {0x65, 8, 5, 6}, {0x66, 8, 5, 6}, {0x68, 12, 5, 6}, {0x7e, 6, 2, 3}, {0x7e, 8, 2, 4},
    };

    private static List<BigInteger> native_(byte[] transaction, boolean succeeded, byte[] recipient) {
        int type = transaction[0] >= 1 ? transaction[0] : 0;
        List<Rlp> fields = untyped(transaction, "the transaction");
        int[] form = null;
        for (int[] one : FORMS) if (one[0] == type && one[1] == fields.size()) form = one;
        if (form == null) throw new Refused("a transaction whose form is not known");
        List<BigInteger> moves = new ArrayList<>();
        if (type == 0x7e && fields.size() == 8) {
            BigInteger minted = fields.get(3).number("the minted value");
            if (minted.signum() > 0 && Arrays.equals(fields.get(1).bytes(20, "from"), recipient)) moves.add(minted);
        }
        byte[] to = fields.get(form[2]).bytes(-1, "to");
        if (to.length == 0) return moves; // a contract is created
        if (to.length != 20) throw new Refused("to is no address");
        BigInteger value = fields.get(form[3]).number("the value");
        if (succeeded && value.signum() > 0 && Arrays.equals(to, recipient)) moves.add(value);
        return moves;
    }

    private static List<BigInteger> tokens(Rlp logs, boolean succeeded, byte[] contract, byte[] recipient) {
        List<BigInteger> moves = new ArrayList<>();
        for (Rlp one : logs.list("the logs")) {
            List<Rlp> log = one.list("a log");
            if (log.size() != 3) throw new Refused("a log has three members");
            byte[] address = log.get(0).bytes(20, "a log's address");
            List<Rlp> topics = log.get(1).list("topics");
            byte[] data = log.get(2).bytes(-1, "a log's data");
            for (Rlp topic : topics) topic.bytes(32, "a topic");
            if (!succeeded || !Arrays.equals(address, contract) || topics.size() != 3 || data.length != 32) continue;
            if (!Arrays.equals(topics.get(0).bytes(32, "a topic"), TRANSFER)) continue;
            byte[] to = Arrays.copyOfRange(topics.get(2).bytes(32, "a topic"), 12, 32);
            BigInteger value = new BigInteger(1, data);
            if (value.signum() > 0 && Arrays.equals(to, recipient)) moves.add(value);
        }
        return moves;
    }

    /** The event beside the proof tells of what was proven. */
    byte[] told() {
        Map<String, Object> event = Json.object(proof.get("event"), "event");
        byte[] body = Bytes.utf8(Json.text(event.get("body"), "event.body"));
        Map<String, Object> said = Events.objectOf(Events.read(body));
        for (String name : List.of("id", "chain", "tx_hash", "kind", "asset", "amount_base_units")) {
            if (!deposit.get(name).equals(said.get(name))) throw new Refused("the event tells of another " + name);
        }
        if (!recipient.equals(Json.text(said.get("to"), "to").toLowerCase(Locale.ROOT))) throw new Refused("another recipient");
        Map<String, Object> block = Json.object(said.get("block"), "the event's block");
        if (!blockHash.equals(block.get("hash"))) throw new Refused("the event tells of another block");
        if (Json.whole(block.get("height"), "the event's height") != height) throw new Refused("another height");
        if (!deposit.get("merchant_id").equals(Events.read(body).get("merchant_id"))) throw new Refused("another merchant's event");
        return body;
    }
}
