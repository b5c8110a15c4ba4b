package fleuve;

import org.apache.flink.table.functions.ScalarFunction;

/** Counts how often a character occurs in a text: the user-defined function of Nexmark's q14, for Flink. */
public class CountChar extends ScalarFunction {
    public long eval(String text, String character) {
        if (text == null || character == null || character.isEmpty()) {
            return 0;
        }
        char wanted = character.charAt(0);
        long count = 0;
        for (int i = 0; i < text.length(); i++) {
            if (text.charAt(i) == wanted) {
                count++;
            }
        }
        return count;
    }
}
