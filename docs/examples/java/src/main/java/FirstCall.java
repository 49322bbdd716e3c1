import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Timestamp;
import com.google.rpc.ErrorInfo;
import com.google.rpc.Status;
import io.grpc.ClientInterceptor;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import loyalty.v1.AccrueRequest;
import loyalty.v1.Operation;
import loyalty.v1.Receipt;
import loyalty.v1.TransactionServiceGrpc;
import loyalty.v1.TransactionServiceGrpc.TransactionServiceBlockingStub;

/** The first call: points for a receipt, then the same request again, as after a lost connection. */
public final class FirstCall {
  private static final Path SERVICE_CONFIG = Path.of("../../client-service-config.json");
  private static final Metadata.Key<String> AUTHORIZATION = key("authorization");
  private static final Metadata.Key<String> REPLAYED = key("loyalty-replayed");

  public static void main(String[] arguments) throws IOException, InterruptedException {
    ManagedChannel channel = connect(setting("LOYALTY_ADDRESS", "127.0.0.1:50051"));
    try {
      callTwice(TransactionServiceGrpc.newBlockingStub(channel).withInterceptors(credentials()));
    } catch (StatusRuntimeException error) {
      System.err.println("failed: " + reason(error));
      System.exit(1);
    } finally {
      channel.shutdown().awaitTermination(5, TimeUnit.SECONDS);
    }
  }

  private static ManagedChannel connect(String address) throws IOException {
    Map<String, ?> serviceConfig =
        new Gson().fromJson(Files.readString(SERVICE_CONFIG), new TypeToken<Map<String, ?>>() {});
    return Grpc.newChannelBuilder(address, InsecureChannelCredentials.create())
        .defaultServiceConfig(serviceConfig)
        .enableRetry()
        .build();
  }

  private static ClientInterceptor credentials() {
    Metadata headers = new Metadata();
    headers.put(AUTHORIZATION, "Bearer " + System.getenv("LOYALTY_API_KEY"));
    return MetadataUtils.newAttachHeadersInterceptor(headers);
  }

  private static void callTwice(TransactionServiceBlockingStub stub) {
    AccrueRequest request = sale();
    AtomicReference<Metadata> trailers = new AtomicReference<>();
    Operation first = stub.accrue(request);
    Operation repeat =
        stub.withInterceptors(
                MetadataUtils.newCaptureMetadataInterceptor(new AtomicReference<>(), trailers))
            .accrue(request);
    System.out.printf(
        "applied: %d points earned, balance %d%n",
        first.getEarnedPoints(), first.getBalancePoints());
    System.out.printf(
        "repeated: replayed %b, same operation %b%n",
        trailers.get().containsKey(REPLAYED), repeat.equals(first));
  }

  /** Made once for a sale and kept with it until it is answered. */
  private static AccrueRequest sale() {
    Instant now = Instant.now();
    return AccrueRequest.newBuilder()
        .setIdempotencyKey(UUID.randomUUID().toString())
        .setCard(setting("LOYALTY_CARD", "demo-0001"))
        .setOccurredAt(
            Timestamp.newBuilder().setSeconds(now.getEpochSecond()).setNanos(now.getNano()))
        .setStoreId("7")
        .setTerminalId("2")
        .setReceipt(Receipt.newBuilder().setReceiptId("4711").setTotalMinor(123_400))
        .build();
  }

  /** The ErrorReason of the service, else gRPC's code. */
  private static String reason(StatusRuntimeException error) {
    Status status = StatusProto.fromThrowable(error);
    for (Any detail : status.getDetailsList()) {
      if (detail.is(ErrorInfo.class)) {
        return unpacked(detail).getReason();
      }
    }
    return error.getStatus().getCode().name();
  }

  private static ErrorInfo unpacked(Any detail) {
    try {
      return detail.unpack(ErrorInfo.class);
    } catch (InvalidProtocolBufferException error) {
      throw new IllegalStateException(error);
    }
  }

  private static String setting(String name, String fallback) {
    return System.getenv().getOrDefault(name, fallback);
  }

  private static Metadata.Key<String> key(String name) {
    return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
  }

  private FirstCall() {}
}
