/** Keccak-256 with the original padding (01), as Ethereum uses it. */
final class Keccak {
    private static final int RATE = 136;
    private static final int[] ROTATIONS = new int[25];
    private static final long[] CONSTANTS = new long[24];

    static {
        int x = 1;
        int y = 0;
        for (int t = 0; t < 24; t++) {
            ROTATIONS[x + 5 * y] = (t + 1) * (t + 2) / 2 % 64;
            int next = (2 * x + 3 * y) % 5;
            x = y;
            y = next;
        }
        int register = 1;
        for (int round = 0; round < 24; round++) {
            for (int j = 0; j < 7; j++) {
                if ((register & 1) == 1) CONSTANTS[round] ^= 1L << ((1 << j) - 1);
                register = register << 1 ^ ((register >> 7) * 0x171);
            }
        }
    }

    static byte[] of(byte[] message) {
        byte[] padded = java.util.Arrays.copyOf(message, (message.length / RATE + 1) * RATE);
        padded[message.length] ^= 1;
        padded[padded.length - 1] ^= (byte) 0x80;
        long[] lanes = new long[25];
        for (int block = 0; block < padded.length; block += RATE) {
            for (int i = 0; i < RATE; i++) lanes[i / 8] ^= (padded[block + i] & 0xffL) << (8 * (i % 8));
            permute(lanes);
        }
        byte[] digest = new byte[32];
        for (int i = 0; i < 32; i++) digest[i] = (byte) (lanes[i / 8] >>> (8 * (i % 8)));
        return digest;
    }

    private static void permute(long[] a) {
        long[] b = new long[25];
        long[] c = new long[5];
        for (int round = 0; round < 24; round++) {
            for (int x = 0; x < 5; x++) c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
            for (int i = 0; i < 25; i++) a[i] ^= c[(i + 4) % 5] ^ Long.rotateLeft(c[(i + 1) % 5], 1);
            for (int x = 0; x < 5; x++) {
                for (int y = 0; y < 5; y++) {
                    b[y + 5 * ((2 * x + 3 * y) % 5)] = Long.rotateLeft(a[x + 5 * y], ROTATIONS[x + 5 * y]);
                }
            }
            for (int y = 0; y < 25; y += 5) {
                for (int x = 0; x < 5; x++) a[x + y] = b[x + y] ^ (~b[(x + 1) % 5 + y] & b[(x + 2) % 5 + y]);
            }
            a[0] ^= CONSTANTS[round];
        }
    }
}
