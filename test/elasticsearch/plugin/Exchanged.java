package gatewright;

import com.sun.net.httpserver.HttpExchange;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Map;
import org.elasticsearch.action.ActionListener;
import org.elasticsearch.common.bytes.BytesArray;
import org.elasticsearch.common.bytes.BytesReference;
import org.elasticsearch.http.HttpBody;
import org.elasticsearch.http.HttpChannel;
import org.elasticsearch.http.HttpRequest;
import org.elasticsearch.http.HttpResponse;
import org.elasticsearch.rest.ChunkedRestResponseBodyPart;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestStatus;

/** A request of the JDK's server, as Elasticsearch reads it. The answer does not go through it. */
final class Exchanged implements HttpRequest {
    private final HttpExchange exchange;
    private final HttpBody.Full body;

    Exchanged(HttpExchange exchange) throws IOException {
        this.exchange = exchange;
        this.body = HttpBody.fromBytesReference(new BytesArray(exchange.getRequestBody().readAllBytes()));
    }

    @Override
    public RestRequest.Method method() {
        return RestRequest.Method.valueOf(exchange.getRequestMethod());
    }

    @Override
    public String uri() {
        return exchange.getRequestURI().toString();
    }

    @Override
    public Map<String, List<String>> getHeaders() {
        return exchange.getRequestHeaders();
    }

    @Override
    public HttpBody body() {
        return body;
    }

    @Override
    public List<String> strictCookies() {
        return List.of();
    }

    @Override
    public HttpVersion protocolVersion() {
        return HttpVersion.HTTP_1_1;
    }

    @Override
    public Exception getInboundException() {
        return null;
    }

    @Override
    public void release() {}

    @Override
    public HttpRequest removeHeader(String name) {
        throw new UnsupportedOperationException();
    }

    @Override
    public HttpResponse createResponse(RestStatus status, BytesReference content) {
        throw new UnsupportedOperationException();
    }

    @Override
    public HttpResponse createResponse(RestStatus status, ChunkedRestResponseBodyPart content) {
        throw new UnsupportedOperationException();
    }

    HttpChannel channel() {
        return new HttpChannel() {
            @Override
            public void sendResponse(HttpResponse response, ActionListener<Void> listener) {
                throw new UnsupportedOperationException();
            }

            @Override
            public InetSocketAddress getLocalAddress() {
                return exchange.getLocalAddress();
            }

            @Override
            public InetSocketAddress getRemoteAddress() {
                return exchange.getRemoteAddress();
            }

            @Override
            public void addCloseListener(ActionListener<Void> listener) {}

            @Override
            public boolean isOpen() {
                return true;
            }

            @Override
            public void close() {
                exchange.close();
            }
        };
    }
}
