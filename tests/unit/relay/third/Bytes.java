import java.io.ByteArrayOutputStream;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Base64;

/** Hashes and the ways in which bytes are written: hex, base64, the base32 of ids. */
final class Bytes {
    private static final String CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz";

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static byte[] join(byte[]... parts) {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (byte[] part : parts) all.writeBytes(part);
        return all.toByteArray();
    }

    static byte[] sha256(byte[]... parts) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(join(parts));
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error);
        }
    }

    static String hex(byte[] bytes) {
        StringBuilder out = new StringBuilder();
        for (byte b : bytes) out.append(String.format("%02x", b));
        return out.toString();
    }

    /** Lower-case hex digits, two a byte. */
    static byte[] fromHex(String digits, String what) {
        if (digits.length() % 2 != 0) throw new Refused(what + " has half a byte");
        byte[] bytes = new byte[digits.length() / 2];
        for (int i = 0; i < bytes.length; i++) {
            int high = "0123456789abcdef".indexOf(digits.charAt(2 * i));
            int low = "0123456789abcdef".indexOf(digits.charAt(2 * i + 1));
            if (high < 0 || low < 0) throw new Refused(what + " is no lower-case hex");
            bytes[i] = (byte) (16 * high + low);
        }
        return bytes;
    }

    static byte[] hash(String digits, String what) {
        byte[] bytes = fromHex(digits, what);
        if (bytes.length != 32) throw new Refused(what + " is no hash of 32 bytes");
        return bytes;
    }

    /** RFC 4648 section 4, in its one spelling: padded, and without bits that say nothing. */
    static byte[] fromBase64(String text, String what) {
        try {
            byte[] bytes = Base64.getDecoder().decode(text);
            if (Base64.getEncoder().encodeToString(bytes).equals(text)) return bytes;
        } catch (IllegalArgumentException error) {
            // refused below
        }
        throw new Refused(what + " is no base64");
    }

    /** An id: the prefix and the first 16 bytes of a SHA-256, as 26 digits of Crockford's base32. */
    static String id(String prefix, byte[] hash) {
        BigInteger number = new BigInteger(1, java.util.Arrays.copyOf(hash, 16));
        char[] digits = new char[26];
        for (int i = 25; i >= 0; i--) {
            digits[i] = CROCKFORD.charAt(number.intValue() & 31);
            number = number.shiftRight(5);
        }
        return prefix + new String(digits);
    }

    /** The id over lines that are joined by line feeds; no line holds one. */
    static String idOfLines(String prefix, String... lines) {
        for (String line : lines) {
            if (line.indexOf('\n') >= 0 || line.indexOf('\r') >= 0) throw new Refused("a line end inside a member");
        }
        return id(prefix, sha256(utf8(String.join("\n", lines))));
    }
}
