import java.math.BigInteger;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.util.Set;

/** Signatures by RFC 8032, and whose keys are nobody's. */
final class Ed25519 {
    private static final byte[] X509 = Bytes.fromHex("302a300506032b6570032100", "a constant");
    private static final BigInteger P = BigInteger.TWO.pow(255).subtract(BigInteger.valueOf(19));
    /** The y of every point whose order divides 8. */
    private static final Set<BigInteger> SMALL_ORDER = Set.of(BigInteger.ZERO, BigInteger.ONE,
            P.subtract(BigInteger.ONE),
            littleEndian(Bytes.fromHex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", "a constant")),
            littleEndian(Bytes.fromHex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "a constant")));

    private static BigInteger littleEndian(byte[] bytes) {
        byte[] turned = new byte[bytes.length];
        for (int i = 0; i < bytes.length; i++) turned[i] = bytes[bytes.length - 1 - i];
        return new BigInteger(1, turned);
    }

    /** The 32 bytes of a key written as whpk_ and base64. */
    static byte[] publicKey(String written) {
        if (!written.startsWith("whpk_")) throw new Refused("a public key begins with whpk_");
        return checked(Bytes.fromBase64(written.substring(5), "the public key"));
    }

    static byte[] checked(byte[] key) {
        if (key.length != 32) throw new Refused("a public key has 32 bytes");
        if (isUnsound(key)) throw new Refused("a public key of small order, or not in its one spelling, is nobody's");
        return key;
    }

    private static boolean isUnsound(byte[] point) {
        BigInteger y = littleEndian(point).clearBit(255);
        return y.compareTo(P) >= 0 || SMALL_ORDER.contains(y);
    }

    static boolean verifies(byte[] key, byte[] message, byte[] signature) {
        if (signature.length != 64 || isUnsound(java.util.Arrays.copyOf(signature, 32))) return false;
        try {
            PublicKey read = KeyFactory.getInstance("Ed25519").generatePublic(new X509EncodedKeySpec(Bytes.join(X509, key)));
            Signature check = Signature.getInstance("Ed25519");
            check.initVerify(read);
            check.update(message);
            return check.verify(signature);
        } catch (GeneralSecurityException error) {
            return false;
        }
    }
}
