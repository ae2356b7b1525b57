// Java's own HttpClient, which offers h2c by default: java JavaClient.java http://127.0.0.1:8000
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class JavaClient {
  static final HttpClient CLIENT = HttpClient.newHttpClient();

  public static void main(String[] arguments) throws Exception {
    String url = arguments[0];
    String messages = "\"messages\": [{\"role\": \"user\", \"content\": \"hello\"}]";
    check("models", "\"id\":\"auto\"", HttpRequest.newBuilder(URI.create(url + "/v1/models")));
    check("chat", "\"object\":\"chat.completion\"", post(url + "/v1/chat/completions", "{" + messages + "}"));
    check("chat stream", "[DONE]", post(url + "/v1/chat/completions", "{" + messages + ", \"stream\": true}"));
    check("responses", "\"object\":\"response\"", post(url + "/v1/responses", "{\"input\": \"hello\"}"));
    check("completions", "\"object\":\"text_completion\"", post(url + "/v1/completions", "{\"prompt\": \"hello\"}"));
  }

  static HttpRequest.Builder post(String url, String body) {
    return HttpRequest.newBuilder(URI.create(url))
        .header("content-type", "application/json")
        .POST(HttpRequest.BodyPublishers.ofString(body));
  }

  static void check(String feature, String pattern, HttpRequest.Builder request) throws Exception {
    HttpResponse<String> reply =
        CLIENT.send(request.build(), HttpResponse.BodyHandlers.ofString());
    boolean found = reply.statusCode() == 200 && reply.body().contains(pattern);
    System.out.println("Java HttpClient | " + feature + " | " + (found ? "ok" : "wrong answer"));
  }
}
