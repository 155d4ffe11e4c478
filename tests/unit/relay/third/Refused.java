/** What was shown does not hold. Anything else that is thrown here is a mistake of this program. */
class Refused extends RuntimeException {
    Refused(String why) {
        super(why);
    }
}

/** A restored backup lacks events that were signed: said by the log itself, and no contradiction. */
final class HistoryLost extends Refused {
    HistoryLost(String why) {
        super(why);
    }
}
