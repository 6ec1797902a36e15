package headrace;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.spark.sql.api.java.UDF1;
import scala.collection.Seq;

/**
 * What trees say of a row together: a number. They lie beside this class, as `packed.py` writes them.
 *
 * Spark's own compiler makes it, which knows neither generics nor lambdas.
 */
public final class Trees implements UDF1 {
    private static final int ABREAST = 4;
    private static boolean single, refuses, two;
    private static int features;
    private static double base, missing;
    private static int[] roots, depths, feature, child;
    private static double[] threshold, value, second;

    static {
        try {
            DataInputStream in = new DataInputStream(new BufferedInputStream(Trees.class.getResourceAsStream("Trees.bin")));
            try {
                read(in);
            } finally {
                in.close();
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static void read(DataInputStream in) throws IOException {
        int flags = in.readInt();
        single = (flags & 1) != 0;
        refuses = (flags & 2) != 0;
        two = (flags & 4) != 0;
        features = in.readInt();
        int trees = in.readInt();
        int nodes = in.readInt();
        base = in.readDouble();
        missing = in.readDouble();
        roots = integers(in, trees);
        depths = integers(in, trees / ABREAST);
        feature = integers(in, nodes);
        child = integers(in, nodes);
        threshold = doubles(in, nodes);
        value = doubles(in, nodes);
        second = doubles(in, two ? nodes : 0);
    }

    private static int[] integers(DataInputStream in, int count) throws IOException {
        int[] found = new int[count];
        for (int at = 0; at < count; at++) {
            found[at] = in.readInt();
        }
        return found;
    }

    private static double[] doubles(DataInputStream in, int count) throws IOException {
        double[] found = new double[count];
        for (int at = 0; at < count; at++) {
            found[at] = in.readDouble();
        }
        return found;
    }

    public Object call(Object row) {
        double[] x = new double[single ? 2 * features : features];
        if (fill((Seq) row, x) && refuses) {
            return Double.valueOf(Double.NaN);
        }
        return Double.valueOf(single ? floats(leaves(x)) : doubles(leaves(x)));
    }

    /** Whether a feature is missing. Floats come twice: what is missing is greater than all others, and then less. */
    private static boolean fill(Seq row, double[] x) {
        boolean gaps = false;
        for (int at = 0; at < features; at++) {
            double one = ((Double) row.apply(at)).doubleValue();
            if (single) {
                one = (double) (float) one;
                one = one == missing ? Double.NaN : one;
                x[features + at] = one == one ? one : Double.NEGATIVE_INFINITY;
            }
            x[at] = one;
            gaps |= one != one;
        }
        return gaps;
    }

    /** The leaf that a row comes to in each tree; four trees are walked abreast, so that none waits for the other's memory. */
    private static int[] leaves(double[] x) {
        int[] found = new int[roots.length];
        for (int tree = 0; tree < roots.length; tree += ABREAST) {
            int a = roots[tree], b = roots[tree + 1], c = roots[tree + 2], d = roots[tree + 3];
            for (int level = depths[tree / ABREAST]; level > 0; level--) {
                a = next(a, x);
                b = next(b, x);
                c = next(c, x);
                d = next(d, x);
            }
            found[tree] = a;
            found[tree + 1] = b;
            found[tree + 2] = c;
            found[tree + 3] = d;
        }
        return found;
    }

    private static double doubles(int[] leaves) {
        double sum = base;
        double other = 0;
        for (int tree = 0; tree < leaves.length; tree++) {
            sum += value[leaves[tree]];
            other += two ? second[leaves[tree]] : 0;
        }
        return two ? other - sum : sum;
    }

    private static double floats(int[] leaves) {
        float sum = (float) base;
        for (int tree = 0; tree < leaves.length; tree++) {
            sum += (float) value[leaves[tree]];
        }
        return sum;
    }

    /** The left child, or the right one beside it; a leaf is its own: nothing is at most NaN. */
    private static int next(int node, double[] x) {
        return child[node] + (x[feature[node]] <= threshold[node] ? 0 : 1);
    }
}
