import com.datastax.driver.core.Cluster;
import com.datastax.driver.core.Session;
import com.datastax.driver.core.exceptions.AuthenticationException;
import java.nio.charset.StandardCharsets;

/**
 * Runs CQL from standard input, one statement a line, the user's password in the first line: neither is seen in a list of
 * processes. Exits with 3 if the login is refused, so that the caller can try another user.
 *
 * <p>java -cp 'libs/*' Cql.java PORT USER < statements
 */
public class Cql {
    public static void main(String[] args) throws Exception {
        String[] lines = new String(System.in.readAllBytes(), StandardCharsets.UTF_8).split("\n");
        Cluster.Builder builder = Cluster.builder()
                .addContactPoint("127.0.0.1")
                .withPort(Integer.parseInt(args[0]))
                .withCredentials(args[1], lines[0])
                .withoutJMXReporting();
        try (Cluster cluster = builder.build(); Session session = cluster.connect()) {
            for (int i = 1; i < lines.length; i++) {
                session.execute(lines[i]).forEach(System.out::println);
            }
        } catch (AuthenticationException refused) {
            System.err.println(refused.getMessage());
            System.exit(3);
        }
    }
}
