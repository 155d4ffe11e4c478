import java.util.List;
import java.util.Map;

/** Bodies of events: how they are read, what their ids are made of, and how they hang together. */
final class Events {
    static final int DEPTH_MAX = 100;

    static Map<String, Object> read(byte[] body) {
        return Json.object(Json.parse(body, DEPTH_MAX), "the body");
    }

    /** The object of an event is the member of data that its type names before the dot. */
    static Map<String, Object> objectOf(Map<String, Object> event) {
        String type = Json.text(event.get("type"), "type");
        int dot = type.indexOf('.');
        if (dot < 1) throw new Refused("a type has a dot");
        Map<String, Object> data = Json.object(event.get("data"), "data");
        return Json.object(data.get(type.equals("log.checkpoint") ? "checkpoint" : type.substring(0, dot)), "the object");
    }

    /** An id says what it is of. */
    static void hasItsId(byte[] body) {
        Map<String, Object> event = read(body);
        Map<String, Object> object = objectOf(event);
        String id = Bytes.idOfLines("evt_", "chainbell-event-1", Json.text(event.get("merchant_id"), "merchant_id"),
                Long.toString(Json.whole(event.get("log_epoch"), "log_epoch")), Json.text(object.get("id"), "id"),
                Long.toString(object.containsKey("version") ? Json.whole(object.get("version"), "version") : 1), Json.text(event.get("type"), "type"));
        if (!id.equals(event.get("id"))) throw new Refused("the id is not that of what the event says");
    }

    /** Bodies that follow each other: sequences without a hole, each with the hash of the one before. */
    static void chain(List<byte[]> bodies, String merchantId) {
        byte[] before = null;
        long sequenceBefore = 0;
        long epochBefore = 0;
        for (byte[] body : bodies) {
            Map<String, Object> event = read(body);
            if (!merchantId.equals(event.get("merchant_id"))) throw new Refused("the event of another merchant");
            long sequence = Json.whole(event.get("sequence"), "sequence");
            long epoch = Json.whole(event.get("log_epoch"), "log_epoch");
            String prevHash = Json.text(event.get("prev_hash"), "prev_hash");
            if (sequence < 1) throw new Refused("sequences begin with 1");
            if (sequence == 1 && !prevHash.equals("0".repeat(64))) throw new Refused("something stands before the first event");
            if (before != null) {
                if (sequence != sequenceBefore + 1) throw new Refused("a sequence is left out or repeated");
                if (!prevHash.equals(Bytes.hex(Bytes.sha256(before)))) throw new Refused("the hash of another body before");
                if (epoch < epochBefore) throw new Refused("an epoch goes back");
            }
            before = body;
            sequenceBefore = sequence;
            epochBefore = epoch;
        }
    }

    /** The log's id is made of its key. */
    static void logId(String logId, String publicKey) {
        if (!Bytes.id("log_", Bytes.sha256(Ed25519.publicKey(publicKey))).equals(logId)) {
            throw new Refused("the id of another log");
        }
    }
}
