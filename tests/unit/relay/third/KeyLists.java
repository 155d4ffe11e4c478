import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The signed list of webhook keys, and what two such lists say about each other. */
final class KeyLists {
    static final long TOLERANCE_S = 300;

    static final class Listed {
        long timeS;
        String merchantId;
        final Map<String, String[]> keys = new LinkedHashMap<>();
    }

    static Listed read(Map<String, Object> answer, String merchantId, String logKey) {
        if (!merchantId.equals(answer.get("merchant_id"))) throw new Refused("the keys of another merchant");
        if (!logKey.equals(answer.get("log_public_key"))) throw new Refused("not the log's key that was noted");
        Events.logId(Json.text(answer.get("log_id"), "log_id"), logKey);
        Notes note = new Notes(Json.text(answer.get("note"), "note"));
        String name = "chainbell/keys/" + merchantId;
        if (note.signedBy(new Notes.Signer(name, Notes.SIGNATURE, Ed25519.publicKey(logKey))).isEmpty()) {
            throw new Refused("the log's key did not sign this list");
        }
        String[] lines = note.text.split("\n", -1);
        if (lines.length < 3 || !lines[0].equals(name) || !lines[1].startsWith("time ")) throw new Refused("no list of keys");
        Listed listed = new Listed();
        listed.merchantId = merchantId;
        listed.timeS = Checkpoint.number(lines[1].substring(5), "the time");
        List<String> said = new ArrayList<>();
        for (Object one : Json.list(answer.get("keys"), "keys")) {
            Map<String, Object> key = Json.object(one, "a key");
            if (!key.containsKey("valid_until")) throw new Refused("a key without valid_until");
            if (!"ed25519".equals(key.get("algorithm"))) throw new Refused("a key of another algorithm");
            String[] words = {Json.text(key.get("endpoint_id"), "endpoint_id"), Json.text(key.get("public_key"), "public_key"),
                Json.text(key.get("valid_from"), "valid_from"),
                key.get("valid_until") == null ? "-" : Json.text(key.get("valid_until"), "valid_until")};
            Ed25519.publicKey(words[1]);
            Webhooks.time(words[2]);
            if (!words[3].equals("-")) Webhooks.time(words[3]);
            said.add(String.join(" ", words));
            if (listed.keys.put(words[0] + " " + words[1], words) != null) throw new Refused("a key is listed twice");
        }
        if (!said.equals(List.of(lines).subList(2, lines.length - 1))) throw new Refused("the list is not the one that was signed");
        return listed;
    }

    private static long seconds(String written) {
        return Webhooks.time(written).getEpochSecond();
    }

    /** Nothing in the later list was dated back. */
    static void grew(Listed before, Listed now) {
        if (!before.merchantId.equals(now.merchantId)) throw new Refused("the lists of two merchants");
        if (now.timeS < before.timeS) throw new Refused("the later list is older");
        for (Map.Entry<String, String[]> entry : now.keys.entrySet()) {
            String[] key = entry.getValue();
            String[] held = before.keys.get(entry.getKey());
            if (held == null) {
                if (seconds(key[2]) < before.timeS - TOLERANCE_S) throw new Refused("a key that was not listed when it began");
                continue;
            }
            if (!key[2].equals(held[2])) throw new Refused("a key has another beginning");
            if (key[3].equals(held[3])) continue;
            if (!held[3].equals("-")) throw new Refused("the end of a key was moved");
            if (seconds(key[3]) < before.timeS - TOLERANCE_S) throw new Refused("a key ended before anybody was told");
        }
    }
}
