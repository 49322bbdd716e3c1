// The first call: points for a receipt, then the same request again, as after a lost connection.

using System.Globalization;
using System.Text.Json;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Net.Client.Configuration;
using Loyalty.V1;

const string ServiceConfigFile = "../../client-service-config.json";

using var channel = GrpcChannel.ForAddress(
    $"http://{Setting("LOYALTY_ADDRESS", "127.0.0.1:50051")}",
    new GrpcChannelOptions
    {
        ServiceConfig = ReadServiceConfig(),
        MaxReconnectBackoff = TimeSpan.FromSeconds(1),
    });
var client = new TransactionService.TransactionServiceClient(channel);
var request = Sale();
try
{
    var first = await client.AccrueAsync(request, Options());
    using var call = client.AccrueAsync(request, Options());
    var repeat = await call;
    var replayed = call.GetTrailers().GetValue("loyalty-replayed") ?? "false";
    var same = repeat.Equals(first) ? "true" : "false";
    Console.WriteLine($"applied: {first.EarnedPoints} points earned, balance {first.BalancePoints}");
    Console.WriteLine($"repeated: replayed {replayed}, same operation {same}");
    return 0;
}
catch (RpcException error)
{
    Console.Error.WriteLine($"failed: {Reason(error)}");
    return 1;
}

// Made once for a sale and kept with it until it is answered.
static AccrueRequest Sale() => new()
{
    IdempotencyKey = Guid.NewGuid().ToString(),
    Card = Setting("LOYALTY_CARD", "demo-0001"),
    OccurredAt = Timestamp.FromDateTime(DateTime.UtcNow),
    StoreId = "7",
    TerminalId = "2",
    Receipt = new Receipt { ReceiptId = "4711", TotalMinor = 123_400 },
};

// .NET takes a deadline from the call alone, not from the service config.
static CallOptions Options() => new(
    headers: new Metadata { { "authorization", $"Bearer {Setting("LOYALTY_API_KEY", "")}" } },
    deadline: DateTime.UtcNow.AddSeconds(30));

// The ErrorReason of the service, else gRPC's code.
static string Reason(RpcException error) =>
    error.GetRpcStatus()?.GetDetail<ErrorInfo>()?.Reason ?? error.StatusCode.ToString();

static ServiceConfig ReadServiceConfig()
{
    using var document = JsonDocument.Parse(File.ReadAllText(ServiceConfigFile));
    var throttling = document.RootElement.GetProperty("retryThrottling");
    var serviceConfig = new ServiceConfig
    {
        RetryThrottling = new RetryThrottlingPolicy
        {
            MaxTokens = throttling.GetProperty("maxTokens").GetInt32(),
            TokenRatio = throttling.GetProperty("tokenRatio").GetDouble(),
        },
    };
    foreach (var method in document.RootElement.GetProperty("methodConfig").EnumerateArray())
    {
        serviceConfig.MethodConfigs.Add(ReadMethodConfig(method));
    }
    return serviceConfig;
}

static MethodConfig ReadMethodConfig(JsonElement method)
{
    var policy = method.GetProperty("retryPolicy");
    var methodConfig = new MethodConfig
    {
        RetryPolicy = new RetryPolicy
        {
            MaxAttempts = policy.GetProperty("maxAttempts").GetInt32(),
            InitialBackoff = Seconds(policy.GetProperty("initialBackoff")),
            MaxBackoff = Seconds(policy.GetProperty("maxBackoff")),
            BackoffMultiplier = policy.GetProperty("backoffMultiplier").GetDouble(),
        },
    };
    foreach (var code in policy.GetProperty("retryableStatusCodes").EnumerateArray())
    {
        methodConfig.RetryPolicy.RetryableStatusCodes.Add(
            System.Enum.Parse<StatusCode>(code.GetString()!, ignoreCase: true));
    }
    foreach (var name in method.GetProperty("name").EnumerateArray())
    {
        methodConfig.Names.Add(new MethodName
        {
            Service = name.GetProperty("service").GetString(),
            Method = name.GetProperty("method").GetString(),
        });
    }
    return methodConfig;
}

static TimeSpan Seconds(JsonElement duration) =>
    TimeSpan.FromSeconds(double.Parse(duration.GetString()!.TrimEnd('s'), CultureInfo.InvariantCulture));

static string Setting(string name, string fallback) => Environment.GetEnvironmentVariable(name) ?? fallback;
