import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** JSON, read in the one way that docs/webhooks.md gives: objects are maps, numbers BigDecimal. */
final class Json {
    static final long WHOLE_MAX = (1L << 53) - 1;
    private static final int DIGITS_MAX = 1_000;

    private final String text;
    private final int depthMax;
    private int at;

    private Json(String text, int depthMax) {
        this.text = text;
        this.depthMax = depthMax;
    }

    static Object parse(byte[] bytes, int depthMax) {
        String text;
        try {
            text = StandardCharsets.UTF_8.newDecoder().onMalformedInput(CodingErrorAction.REPORT)
                    .onUnmappableCharacter(CodingErrorAction.REPORT).decode(ByteBuffer.wrap(bytes)).toString();
        } catch (CharacterCodingException error) {
            throw new Refused("not UTF-8");
        }
        Json json = new Json(text, depthMax);
        Object value = json.value(0);
        json.blanks();
        json.must(json.at == text.length(), "something stands behind the JSON");
        return value;
    }

    private void must(boolean holds, String why) {
        if (!holds) throw new Refused("JSON: " + why + " at " + at);
    }

    private void blanks() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
    }

    private boolean take(char c) {
        blanks();
        if (at < text.length() && text.charAt(at) == c) {
            at++;
            return true;
        }
        return false;
    }

    private Object value(int depth) {
        must(depth <= depthMax, "nested too deeply");
        if (take('{')) {
            must(depth < depthMax, "nested too deeply");
            Map<String, Object> members = new LinkedHashMap<>();
            if (take('}')) return members;
            do {
                must(take('"'), "a name expected");
                String name = string();
                must(take(':'), "a colon expected");
                members.put(name, value(depth + 1));
            } while (take(','));
            must(take('}'), "an object does not end");
            return members;
        }
        if (take('[')) {
            must(depth < depthMax, "nested too deeply");
            List<Object> items = new ArrayList<>();
            if (take(']')) return items;
            do items.add(value(depth + 1)); while (take(','));
            must(take(']'), "a list does not end");
            return items;
        }
        if (take('"')) return string();
        for (String word : new String[] {"true", "false", "null"}) {
            if (text.startsWith(word, at)) {
                at += word.length();
                return word.equals("null") ? null : (Object) word.equals("true");
            }
        }
        return number();
    }

    private String string() {
        StringBuilder said = new StringBuilder();
        while (true) {
            must(at < text.length(), "a text does not end");
            char c = text.charAt(at++);
            if (c == '"') return said.toString();
            must(c >= ' ', "a control character in a text");
            if (c != '\\') {
                said.append(c);
                continue;
            }
            must(at < text.length(), "a text does not end");
            char escape = text.charAt(at++);
            int known = "\"\\/bfnrt".indexOf(escape);
            if (known >= 0) {
                said.append("\"\\/\b\f\n\r\t".charAt(known));
                continue;
            }
            must(escape == 'u' && at + 4 <= text.length(), "an unknown escape");
            String four = text.substring(at, at + 4);
            must(four.matches("[0-9a-fA-F]{4}"), "an unknown escape");
            said.append((char) Integer.parseInt(four, 16));
            at += 4;
        }
    }

    private Object number() {
        int from = at;
        while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) at++;
        String digits = text.substring(from, at);
        must(digits.length() <= DIGITS_MAX, "too long a number");
        must(digits.matches("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?"), "no value");
        try {
            return new BigDecimal(digits);
        } catch (NumberFormatException error) {
            return Double.valueOf(digits); // an exponent beyond all bounds: a number, but no whole one
        }
    }

    // What a member must be.

    @SuppressWarnings("unchecked")
    static Map<String, Object> object(Object value, String what) {
        if (value instanceof Map) return (Map<String, Object>) value;
        throw new Refused(what + " is no object");
    }

    @SuppressWarnings("unchecked")
    static List<Object> list(Object value, String what) {
        if (value instanceof List) return (List<Object>) value;
        throw new Refused(what + " is no list");
    }

    static String text(Object value, String what) {
        if (value instanceof String) return (String) value;
        throw new Refused(what + " is no text");
    }

    static List<String> texts(Object value, String what) {
        List<String> all = new ArrayList<>();
        for (Object one : list(value, what)) all.add(text(one, what));
        return all;
    }

    /** A whole number from 0 to 2^53 - 1; 7.0 is one. */
    static long whole(Object value, String what) {
        if (value instanceof BigDecimal) {
            BigDecimal number = (BigDecimal) value;
            if (number.signum() == 0) return 0;
            if (number.signum() > 0 && number.precision() - (long) number.scale() <= 16 && number.scale() <= DIGITS_MAX) {
                try {
                    BigInteger exact = number.toBigIntegerExact();
                    if (exact.bitLength() <= 53) return exact.longValue();
                } catch (ArithmeticException notWhole) {
                    // refused below
                }
            }
        }
        throw new Refused(what + " is no whole number from 0 to 2^53 - 1");
    }

    static String write(Object value) {
        StringBuilder out = new StringBuilder();
        write(value, out);
        return out.toString();
    }

    private static void write(Object value, StringBuilder out) {
        if (value instanceof Map) {
            String comma = "{";
            for (Map.Entry<?, ?> member : ((Map<?, ?>) value).entrySet()) {
                out.append(comma);
                write(member.getKey(), out);
                out.append(':');
                write(member.getValue(), out);
                comma = ",";
            }
            out.append(comma.equals("{") ? "{}" : "}");
        } else if (value instanceof List) {
            String comma = "[";
            for (Object item : (List<?>) value) {
                out.append(comma);
                write(item, out);
                comma = ",";
            }
            out.append(comma.equals("[") ? "[]" : "]");
        } else if (value instanceof String) {
            out.append('"');
            for (char c : ((String) value).toCharArray()) {
                if (c < ' ' || c == '"' || c == '\\' || c > '~') out.append(String.format("\\u%04x", (int) c));
                else out.append(c);
            }
            out.append('"');
        } else {
            out.append(value);
        }
    }
}
