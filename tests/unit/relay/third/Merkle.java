import java.util.Arrays;
import java.util.List;

/** The tree of RFC 9162, section 2.1, with SHA-256, and its two proofs. */
final class Merkle {
    static final int PATH_MAX = 64;

    static byte[] leaf(byte[] entry) {
        return Bytes.sha256(new byte[] {0}, entry);
    }

    static byte[] node(byte[] left, byte[] right) {
        return Bytes.sha256(new byte[] {1}, left, right);
    }

    static byte[] root(List<byte[]> leaves) {
        if (leaves.isEmpty()) return Bytes.sha256();
        if (leaves.size() == 1) return leaves.get(0);
        int left = Integer.highestOneBit(leaves.size() - 1);
        return node(root(leaves.subList(0, left)), root(leaves.subList(left, leaves.size())));
    }

    /** 2.1.3.2 */
    static void included(byte[] leaf, long index, long size, List<byte[]> path, byte[] root) {
        if (index >= size) throw new Refused("the leaf lies behind the tree");
        if (path.size() > PATH_MAX) throw new Refused("too long a path");
        long fn = index;
        long sn = size - 1;
        byte[] r = leaf;
        for (byte[] p : path) {
            if (sn == 0) throw new Refused("the path is too long");
            if ((fn & 1) == 1 || fn == sn) {
                r = node(p, r);
                while ((fn & 1) == 0 && fn != 0) {
                    fn >>= 1;
                    sn >>= 1;
                }
            } else {
                r = node(r, p);
            }
            fn >>= 1;
            sn >>= 1;
        }
        if (sn != 0) throw new Refused("the path is too short");
        if (!Arrays.equals(r, root)) throw new Refused("the path does not lead to the root");
    }

    /** 2.1.4.2, with the two cases that it leaves to the caller: equal sizes, and a tree without leaves. */
    static void consistent(long first, byte[] firstRoot, long second, byte[] secondRoot, List<byte[]> path) {
        if (first > second) throw new Refused("the later tree is smaller");
        if (path.size() > PATH_MAX) throw new Refused("too long a path");
        if (first == second || first == 0) {
            if (!path.isEmpty()) throw new Refused("a path where none is needed");
            byte[] must = first == 0 ? root(List.of()) : secondRoot;
            if (!Arrays.equals(firstRoot, must)) throw new Refused("another root at the same size");
            if (second == 0 && !Arrays.equals(secondRoot, must)) throw new Refused("another root at the same size");
            return;
        }
        if (path.isEmpty()) throw new Refused("the path is empty");
        List<byte[]> nodes = path;
        if (Long.bitCount(first) == 1) {
            nodes = new java.util.ArrayList<>(path);
            nodes.add(0, firstRoot);
        }
        long fn = first - 1;
        long sn = second - 1;
        while ((fn & 1) == 1) {
            fn >>= 1;
            sn >>= 1;
        }
        byte[] fr = nodes.get(0);
        byte[] sr = nodes.get(0);
        for (byte[] c : nodes.subList(1, nodes.size())) {
            if (sn == 0) throw new Refused("the path is too long");
            if ((fn & 1) == 1 || fn == sn) {
                fr = node(c, fr);
                sr = node(c, sr);
                while ((fn & 1) == 0 && fn != 0) {
                    fn >>= 1;
                    sn >>= 1;
                }
            } else {
                sr = node(sr, c);
            }
            fn >>= 1;
            sn >>= 1;
        }
        if (sn != 0) throw new Refused("the path is too short");
        if (!Arrays.equals(fr, firstRoot)) throw new Refused("the path does not lead to the earlier root");
        if (!Arrays.equals(sr, secondRoot)) throw new Refused("the path does not lead to the later root");
    }
}
