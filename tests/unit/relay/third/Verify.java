import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What a merchant can check without asking anybody, written from docs/ and public specifications alone.
 * One question a line in JSON on standard input, one answer a line: {"holds": true, …} or {"holds": false, "why": …}.
 * "crashed" in an answer is a mistake of this program, and no verdict.
 */
final class Verify {
    public static void main(String[] args) throws IOException {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            Map<String, Object> answer = new LinkedHashMap<>();
            try {
                Map<String, Object> asked = Json.object(Json.parse(Bytes.utf8(line), 200), "the question");
                answer(asked, answer);
                answer.put("holds", true);
            } catch (HistoryLost error) {
                answer.put("holds", false);
                answer.put("lost", true);
                answer.put("why", error.getMessage());
            } catch (Refused error) {
                answer.put("holds", false);
                answer.put("why", error.getMessage());
            } catch (RuntimeException | StackOverflowError error) {
                answer.put("crashed", error.toString());
            }
            System.out.println(Json.write(answer));
        }
    }

    private static void answer(Map<String, Object> asked, Map<String, Object> answer) {
        String check = Json.text(asked.get("check"), "check");
        switch (check) {
            case "webhook": webhook(asked, answer); break;
            case "event_id": Events.hasItsId(body(asked)); break;
            case "chain": Events.chain(bodies(asked), text(asked, "merchant_id")); break;
            case "log_id": Events.logId(text(asked, "log_id"), text(asked, "public_key")); break;
            case "checkpoint": tell(checkpoint(asked, "note"), answer); break;
            case "inclusion":
                checkpoint(asked, "note").includesAsAnswered(body(asked), Json.object(asked.get("inclusion"), "inclusion"));
                break;
            case "tlog_proof":
                tell(Checkpoint.ofProof(text(asked, "proof"), body(asked), text(asked, "merchant_id"),
                        text(asked, "public_key"), witnesses(asked)), answer);
                break;
            case "consistency":
                checkpoint(asked, "note").continues(checkpoint(asked, "before"), Checkpoint.path(asked.get("path")));
                break;
            case "bodies": checkpoint(asked, "note").isOf(bodies(asked)); break;
            case "anchor": Checkpoint.anchored(text(asked, "note"), text(asked, "anchored")); break;
            case "keys_at":
                Map<String, Object> list = Json.object(Json.parse(body(asked), Events.DEPTH_MAX), "the list");
                answer.put("found", Webhooks.keysAt(Json.list(list.get("keys"), "keys"),
                        Json.whole(asked.get("timestamp_s"), "timestamp_s"), asked.get("endpoint_id")));
                break;
            case "key_list": keyList(asked, "list"); break;
            case "key_growth": KeyLists.grew(keyList(asked, "before"), keyList(asked, "list")); break;
            case "deposit": deposit(asked, answer); break;
            default: throw new IllegalArgumentException(check);
        }
    }

    private static String text(Map<String, Object> asked, String name) {
        return Json.text(asked.get(name), name);
    }

    private static byte[] body(Map<String, Object> asked) {
        return Bytes.fromBase64(text(asked, "body"), "body");
    }

    private static List<byte[]> bodies(Map<String, Object> asked) {
        List<byte[]> bodies = new ArrayList<>();
        for (String one : Json.texts(asked.get("bodies"), "bodies")) bodies.add(Bytes.fromBase64(one, "a body"));
        return bodies;
    }

    private static List<String> witnesses(Map<String, Object> asked) {
        return asked.get("witnesses") == null ? List.of() : Json.texts(asked.get("witnesses"), "witnesses");
    }

    private static Checkpoint checkpoint(Map<String, Object> asked, String name) {
        return Checkpoint.read(text(asked, name), text(asked, "merchant_id"), text(asked, "public_key"), witnesses(asked));
    }

    private static void tell(Checkpoint checkpoint, Map<String, Object> answer) {
        answer.put("epoch", checkpoint.epoch);
        answer.put("size", checkpoint.size);
        answer.put("root_hash", Bytes.hex(checkpoint.root));
        answer.put("time_s", checkpoint.timeS);
        answer.put("witnesses", checkpoint.witnesses);
    }

    private static KeyLists.Listed keyList(Map<String, Object> asked, String name) {
        return KeyLists.read(Json.object(asked.get(name), name), text(asked, "merchant_id"), text(asked, "public_key"));
    }

    private static void webhook(Map<String, Object> asked, Map<String, Object> answer) {
        List<String> secrets = asked.get("secrets") == null ? List.of() : Json.texts(asked.get("secrets"), "secrets");
        Webhooks request = new Webhooks(body(asked), Json.object(asked.get("headers"), "headers"), secrets);
        List<byte[]> keys = new ArrayList<>();
        if (asked.get("public_keys") != null) {
            for (String key : Json.texts(asked.get("public_keys"), "public_keys")) keys.add(Ed25519.publicKey(key));
        }
        answer.put("prev_sequence", request.verify(keys, Json.whole(asked.get("now_s"), "now_s")));
    }

    private static void deposit(Map<String, Object> asked, Map<String, Object> answer) {
        Deposits proven = new Deposits(Bytes.fromBase64(text(asked, "proof"), "proof"), text(asked, "block_hash"));
        if (!text(asked, "merchant_id").equals(proven.deposit.get("merchant_id"))) throw new Refused("another merchant's deposit");
        answer.put("amount_base_units", proven.amount.toString());
        answer.put("block_time_s", proven.blockTimeS);
        if (asked.get("public_key") == null) return;
        byte[] body = proven.told();
        Map<String, Object> event = Json.object(proven.proof.get("event"), "event");
        Checkpoint.read(text(event, "checkpoint"), text(asked, "merchant_id"), text(asked, "public_key"), witnesses(asked))
                .includes(body, Checkpoint.path(event.get("path")));
    }
}
