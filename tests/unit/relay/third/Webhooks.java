import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** One request, held against secrets and public keys. */
final class Webhooks {
    static final long TOLERANCE_S = 300;
    private static final int SIGNATURES_MAX = 32;

    private final Map<String, String> headers = new HashMap<>();
    private final byte[] body;
    private final List<byte[]> secrets = new ArrayList<>();

    Webhooks(byte[] body, Map<String, Object> headers, List<String> secrets) {
        this.body = body;
        for (Map.Entry<String, Object> header : headers.entrySet()) {
            String value = Json.text(header.getValue(), "a header");
            String former = this.headers.put(header.getKey().toLowerCase(Locale.ROOT), value);
            if (former != null) throw new Refused("a header is there twice");
        }
        for (String secret : secrets) {
            if (!secret.startsWith("whsec_")) throw new Refused("a secret begins with whsec_");
            byte[] bytes = Bytes.fromBase64(secret.substring(6), "the secret");
            if (bytes.length < 24 || bytes.length > 64) throw new Refused("a secret has 24 to 64 bytes");
            this.secrets.add(bytes);
        }
    }

    private String header(String name) {
        String value = headers.get(name);
        if (value == null || value.isEmpty()) throw new Refused("no header " + name);
        return value;
    }

    long timestamp() {
        return Checkpoint.number(header("webhook-timestamp"), "webhook-timestamp");
    }

    /** The keys of a list that hold at this second; of one endpoint, where one is given. */
    static List<String> keysAt(List<Object> listed, long timestampS, Object endpointId) {
        List<String> keys = new ArrayList<>();
        for (Object one : listed) {
            Map<String, Object> key = Json.object(one, "a key");
            String endpoint = Json.text(key.get("endpoint_id"), "endpoint_id");
            if (!Json.text(key.get("algorithm"), "algorithm").equals("ed25519")) continue;
            if (!key.containsKey("valid_until")) throw new Refused("a key without valid_until");
            Instant until = key.get("valid_until") == null ? Instant.MAX : time(key.get("valid_until"));
            long fromS = time(key.get("valid_from")).getEpochSecond();
            if (endpointId != null && !endpointId.equals(endpoint)) continue;
            if (fromS > timestampS || !Instant.ofEpochSecond(timestampS).isBefore(until)) continue;
            String publicKey = Json.text(key.get("public_key"), "public_key");
            Ed25519.publicKey(publicKey);
            keys.add(publicKey);
        }
        return keys;
    }

    static Instant time(Object written) {
        String text = Json.text(written, "a time");
        if (!text.matches("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?Z")) {
            throw new Refused("no time of RFC 3339 in UTC");
        }
        try {
            return OffsetDateTime.parse(text).toInstant();
        } catch (DateTimeParseException error) {
            throw new Refused("no time of RFC 3339 in UTC");
        }
    }

    /** One signature of one secret or key is enough; those of others say nothing. Gives the sequence before, or -1. */
    long verify(List<byte[]> publicKeys, long nowS) {
        String id = header("webhook-id");
        if (!id.matches("[!-~&&[^.,]]+")) throw new Refused("webhook-id has other characters than an id");
        String signatures = header("webhook-signature");
        long timestamp = timestamp();
        if (Math.abs(nowS - timestamp) > TOLERANCE_S) throw new Refused("this request is not of now");
        if (secrets.isEmpty() && publicKeys.isEmpty()) throw new Refused("nothing to check with");
        byte[] signed = Bytes.join(Bytes.utf8(id + "." + header("webhook-timestamp") + "."), body);
        if (!isSigned(signatures, signed, publicKeys)) throw new Refused("no signature of ours");
        return prevSequence(publicKeys);
    }

    /** One of those offered is ours; of what cannot be read, nothing is said, as long as anything can. */
    private boolean isSigned(String header, byte[] message, List<byte[]> publicKeys) {
        boolean signed = false;
        boolean readable = false;
        String[] offered = header.split(" ", -1);
        for (int i = 0; i < offered.length && i < SIGNATURES_MAX; i++) {
            String[] parts = offered[i].split(",", -1);
            if (parts.length > 2) throw new Refused("the signatures of two headers in one");
            if (parts.length < 2) continue;
            byte[] shown;
            try {
                shown = Bytes.fromBase64(parts[1], "a signature");
            } catch (Refused error) {
                continue;
            }
            readable = true;
            if (parts[0].equals("v1")) {
                for (byte[] secret : secrets) signed |= MessageDigest.isEqual(shown, hmac(secret, message));
            } else if (parts[0].equals("v1a")) {
                for (byte[] key : publicKeys) signed |= Ed25519.verifies(key, message, shown);
            }
        }
        if (!readable) throw new Refused("a header of signatures without any");
        return signed;
    }

    private static byte[] hmac(byte[] secret, byte[] message) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(secret, "HmacSHA256"));
            return mac.doFinal(message);
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error);
        }
    }

    /** -1 where nothing that we can check says it: without the header's signature, or without a secret. */
    private long prevSequence(List<byte[]> publicKeys) {
        String said = headers.get("chainbell-prev-sequence");
        String signatures = headers.get("chainbell-signature");
        if (signatures == null) return -1;
        String lines = "chainbell-headers-1\n" + header("webhook-id") + "\n" + header("webhook-timestamp") + "\n"
                + (said == null ? "" : said) + "\n"
                + headers.getOrDefault("chainbell-covers", "") + "\n";
        if (!isSigned(signatures, Bytes.utf8(lines), publicKeys) || said == null) return -1;
        return Checkpoint.number(said, "chainbell-prev-sequence");
    }
}
