package headrace;

import org.apache.spark.sql.catalyst.expressions.ArrayExists;
import org.apache.spark.sql.catalyst.expressions.ArrayMax;
import org.apache.spark.sql.catalyst.expressions.ArrayMin;
import org.apache.spark.sql.catalyst.expressions.EqualTo;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.IsNaN;
import org.apache.spark.sql.catalyst.expressions.Literal;
import org.apache.spark.sql.catalyst.expressions.Or;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.catalyst.trees.TreeNode;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DoubleType$;

/**
 * Whether an array of doubles has a NaN or an infinite one: by its largest and its least, in place of one after the other.
 *
 * Spark's own compiler makes it, which knows neither generics nor lambdas.
 */
public final class FiniteVectors extends Rule {
    private static final String ASKED =
        "lambdafunction(((isnan(namedlambdavariable()) OR (namedlambdavariable() = CAST('-Infinity' AS DOUBLE)))"
            + " OR (namedlambdavariable() = CAST('Infinity' AS DOUBLE))), namedlambdavariable())";

    public TreeNode apply(TreeNode plan) {
        return ((LogicalPlan) plan).transformAllExpressions(new Instead());
    }

    private static boolean asks(Object found) {
        if (!(found instanceof ArrayExists)) {
            return false;
        }
        ArrayExists exists = (ArrayExists) found;
        return new ArrayType(DoubleType$.MODULE$, false).equals(exists.argument().dataType())
            && ASKED.equals(exists.function().sql());
    }

    private static Expression is(Expression value, double number) {
        return new EqualTo(value, new Literal(Double.valueOf(number), DoubleType$.MODULE$));
    }

    public static final class Instead extends scala.runtime.AbstractPartialFunction {
        public boolean isDefinedAt(Object found) {
            return asks(found);
        }

        public Object applyOrElse(Object found, scala.Function1 otherwise) {
            if (!asks(found)) {
                return otherwise.apply(found);
            }
            Expression values = ((ArrayExists) found).argument();
            Expression most = new ArrayMax(values); // NaN is more than any number
            Expression infinite = new Or(is(most, Double.POSITIVE_INFINITY), is(new ArrayMin(values), Double.NEGATIVE_INFINITY));
            return new Or(new IsNaN(most), infinite);
        }
    }
}
