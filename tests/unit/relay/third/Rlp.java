import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** RLP (Yellow Paper, appendix B) in its shortest form; lists are read when they are asked for. */
final class Rlp {
    private final byte[] all;
    private final int start;
    private final int from;
    private final int to;
    private final boolean list;

    private Rlp(byte[] all, int at, int end) {
        if (at >= end) throw new Refused("RLP ends too early");
        this.all = all;
        start = at;
        int first = all[at] & 255;
        list = first >= 0xc0;
        if (first < 0x80) {
            from = at;
            to = at + 1;
            return;
        }
        int size = first - (list ? 0xc0 : 0x80);
        int begin = at + 1;
        if (size > 55) {
            int digits = size - 55;
            if (digits > 4 || begin + digits > end) throw new Refused("RLP ends too early");
            long length = 0;
            for (int i = 0; i < digits; i++) length = length << 8 | (all[begin + i] & 255);
            if (all[begin] == 0 || length <= 55) throw new Refused("RLP is not in its shortest form");
            begin += digits;
            if (length > end - begin) throw new Refused("RLP ends too early");
            size = (int) length;
        }
        if (size > end - begin) throw new Refused("RLP ends too early");
        if (!list && size == 1 && all[begin] >= 0) throw new Refused("RLP is not in its shortest form");
        from = begin;
        to = begin + size;
    }

    static Rlp whole(byte[] bytes) {
        Rlp read = new Rlp(bytes, 0, bytes.length);
        if (read.to != bytes.length) throw new Refused("something stands behind the RLP");
        return read;
    }

    boolean isList() {
        return list;
    }

    /** With its own prefix. */
    int length() {
        return to - start;
    }

    List<Rlp> list(String what) {
        if (!list) throw new Refused(what + " is no list");
        List<Rlp> items = new ArrayList<>();
        for (int at = from; at < to; at = items.get(items.size() - 1).to) items.add(new Rlp(all, at, to));
        return items;
    }

    byte[] bytes(int length, String what) {
        if (list) throw new Refused(what + " is a list");
        if (length >= 0 && to - from != length) throw new Refused(what + " has not " + length + " bytes");
        return Arrays.copyOfRange(all, from, to);
    }

    BigInteger number(String what) {
        byte[] bytes = bytes(-1, what);
        if (bytes.length > 32 || (bytes.length > 0 && bytes[0] == 0)) throw new Refused(what + " is no number");
        return new BigInteger(1, bytes);
    }

    static byte[] encode(long number) {
        if (number == 0) return new byte[] {(byte) 0x80};
        byte[] digits = BigInteger.valueOf(number).toByteArray();
        if (digits[0] == 0) digits = Arrays.copyOfRange(digits, 1, digits.length);
        if (digits.length == 1 && digits[0] >= 0) return digits;
        return Bytes.join(new byte[] {(byte) (0x80 + digits.length)}, digits);
    }
}
