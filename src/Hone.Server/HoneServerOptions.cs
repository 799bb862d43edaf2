using System.Net;
using Hone.Core;
using Hone.Core.Inference;
using Hone.Server.Auth;

namespace Hone.Server;

/// <summary>What <c>hone serve</c> was told.</summary>
public sealed record HoneServerOptions
{
    /// <summary>Default <c>127.0.0.1:4663</c>; port 0 takes a free one.</summary>
    public IPEndPoint Listen { get; init; } = new(IPAddress.Loopback, 4663);

    /// <summary>Data folder, model folders, limits.</summary>
    public required HoneCoreOptions Core { get; init; }

    /// <summary>How engines are run; null: the defaults.</summary>
    public EngineSettings? Engines { get; init; }

    /// <summary>Of each token. Default 1,200 requests in 5 minutes; null: none.</summary>
    public RateLimit? RateLimit { get; init; } = RateLimit.Default;

    /// <summary>Origins of web pages whose scripts may call the API (CORS); <c>*</c>: all. Default none: browsers keep them out.</summary>
    public IReadOnlyList<string> AllowedOrigins { get; init; } = [];

    /// <summary>Registers what runs beside the API, such as the worker loop.</summary>
    public Action<IServiceCollection>? Services { get; init; }

    /// <summary>Where the log goes; null: one line an entry on standard error.</summary>
    public Action<ILoggingBuilder>? Logging { get; init; }

    /// <summary>The least that is logged. Default <see cref="LogLevel.Information"/>, which has a line for each request.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Information;

    /// <summary>How long requests in flight may take to end when the server stops. Default 8 seconds, which end before the 10 that containers are given.</summary>
    public TimeSpan ShutdownTimeout { get; init; } = TimeSpan.FromSeconds(8);
}
