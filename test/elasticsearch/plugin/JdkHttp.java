package gatewright;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.elasticsearch.common.component.AbstractLifecycleComponent;
import org.elasticsearch.common.transport.BoundTransportAddress;
import org.elasticsearch.common.transport.TransportAddress;
import org.elasticsearch.common.util.concurrent.ThreadContext;
import org.elasticsearch.core.RestApiVersion;
import org.elasticsearch.http.HttpInfo;
import org.elasticsearch.http.HttpServerTransport;
import org.elasticsearch.http.HttpStats;
import org.elasticsearch.rest.AbstractRestChannel;
import org.elasticsearch.rest.ChunkedRestResponseBodyPart;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.transport.BytesRefRecycler;
import org.elasticsearch.xcontent.NamedXContentRegistry;
import org.elasticsearch.xcontent.XContentParserConfiguration;

/** HTTP by the server of the JDK, on loopback: each request is dispatched as Elasticsearch's own transport does. */
final class JdkHttp extends AbstractLifecycleComponent implements HttpServerTransport {
    private final int port;
    private final ThreadContext context;
    private final XContentParserConfiguration parsers;
    private final Dispatcher dispatcher;
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private HttpServer server;

    JdkHttp(int port, ThreadContext context, NamedXContentRegistry contents, Dispatcher dispatcher) {
        this.port = port;
        this.context = context;
        this.parsers = XContentParserConfiguration.EMPTY.withRegistry(contents);
        this.dispatcher = dispatcher;
    }

    @Override
    protected void doStart() {
        try {
            server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 0);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        server.createContext("/", this::handle);
        server.setExecutor(threads);
        server.start();
    }

    private void handle(HttpExchange exchange) throws IOException {
        Exchanged request = new Exchanged(exchange);
        RestRequest rest = RestRequest.request(parsers.withRestApiVersion(RestApiVersion.current()), request, request.channel());
        try (ThreadContext.StoredContext ignored = context.stashContext()) {
            dispatcher.dispatchRequest(rest, new Channel(rest, exchange), context);
        }
    }

    /** Where the answer to a request goes. */
    private static final class Channel extends AbstractRestChannel {
        private final HttpExchange exchange;

        Channel(RestRequest request, HttpExchange exchange) {
            super(request, true);
            this.exchange = exchange;
        }

        @Override
        public void sendResponse(RestResponse response) {
            try (exchange; response) {
                response.getHeaders().forEach((name, values) -> exchange.getResponseHeaders().put(name, values));
                exchange.getResponseHeaders().set("Content-Type", response.isChunked() ? response.chunkedContent().getResponseContentTypeString() : response.contentType());
                byte[] body = request.method() == RestRequest.Method.HEAD ? new byte[0] : content(response);
                exchange.sendResponseHeaders(response.status().getStatus(), body.length == 0 ? -1 : body.length);
                exchange.getResponseBody().write(body);
            } catch (IOException e) {
                throw new UncheckedIOException(e); // the client is gone
            }
        }

        private static byte[] content(RestResponse response) throws IOException {
            var out = new ByteArrayOutputStream();
            if (response.isChunked() == false) {
                response.content().writeTo(out);
                return out.toByteArray();
            }
            ChunkedRestResponseBodyPart part = response.chunkedContent();
            while (part.isPartComplete() == false) {
                try (var chunk = part.encodeChunk(1 << 16, BytesRefRecycler.NON_RECYCLING_INSTANCE)) {
                    chunk.writeTo(out);
                }
            }
            if (part.isLastPart() == false) {
                throw new IllegalStateException("an answer of several parts is not among those that are asked for");
            }
            return out.toByteArray();
        }
    }

    @Override
    public BoundTransportAddress boundAddress() {
        TransportAddress address = new TransportAddress(InetAddress.getLoopbackAddress(), port);
        return new BoundTransportAddress(new TransportAddress[] { address }, address);
    }

    @Override
    public HttpInfo info() {
        return new HttpInfo(boundAddress(), 100 << 20);
    }

    @Override
    public HttpStats stats() {
        return HttpStats.IDENTITY;
    }

    @Override
    protected void doStop() {
        server.stop(0);
        threads.shutdown();
    }

    @Override
    protected void doClose() {}
}
