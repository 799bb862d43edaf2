using System.Text.Json;
using Hone.Core;
using Hone.Core.Finetunes;
using Hone.Core.Inference;
using Hone.Core.Scheduling;
using Hone.Server.Auth;
using Hone.Server.Cloudflare;
using Hone.Server.Hosting;
using Hone.Server.OpenAI;
using Hone.Server.Requests;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging.Console;
using Scalar.AspNetCore;

namespace Hone.Server;

/// <summary>The API over Kestrel.</summary>
public static class HoneServer
{
    /// <summary>
    /// Ready to start. Starting takes the data folder's lock, brings the database up to date, then listens; it throws <c>StorageException</c> where the folder
    /// cannot be used and <see cref="IOException"/> where the port is taken.
    /// </summary>
    public static WebApplication Build(HoneServerOptions options)
    {
        // A commit keeps a thread of the pool waiting for the disk; with as many as cores, requests would wait with it.
        ThreadPool.GetMinThreads(out int workers, out int ports);
        ThreadPool.SetMinThreads(Math.Max(workers, Environment.ProcessorCount + 2), ports);
        // Empty: neither the environment's ASPNETCORE_ variables nor files beside the executable may change a server's ways.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "Hone.Server" });
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Listen(options.Listen, listen => RejectedRequests.Answer(listen, kestrel.ApplicationServices));
            // Bodies are limited where they are read, so that the answer arrives: see LimitedStream.
            kestrel.Limits.MaxRequestBodySize = null;
            // Ids of 10,000 characters are answered in the envelope.
            kestrel.Limits.MaxRequestLineSize = 64 << 10;
        });
        builder.Logging.SetMinimumLevel(options.LogLevel)
            .AddFilter("Microsoft", LogLevel.Warning)
            // Their scopes would put connection and path before every line; the ray says enough, and failures are logged under it.
            .AddFilter("Microsoft.AspNetCore.Hosting.Diagnostics", LogLevel.None)
            .AddFilter("Microsoft.AspNetCore.Server.Kestrel", LogLevel.None);
        (options.Logging ?? LogToStandardError)(builder.Logging);
        AddServices(builder.Services, options);
        var app = builder.Build();
        app.UseMiddleware<RequestIdentity>();
        app.UseRouting();
        if (options.AllowedOrigins.Count > 0)
            app.UseCors(policy => policy.WithOrigins([.. options.AllowedOrigins]).AllowAnyMethod().AllowAnyHeader().WithExposedHeaders([.. RequestIdentity.OwnHeaders, "Retry-After"]).SetPreflightMaxAge(TimeSpan.FromHours(1)));
        MapApi(app);
        app.MapHealth();
        app.MapOpenApi("/openapi.json").ExcludeFromDescription();
        app.MapScalarApiReference("/docs", scalar => scalar
            .WithTitle("Hone API")
            .WithOpenApiRoutePattern("/openapi.json")
            // Nothing comes from or goes to another host.
            .DisableDefaultFonts().DisableTelemetry().DisableAgent()
            .HideDeveloperTools().HideClientButton());
        return app;
    }

    private static void AddServices(IServiceCollection services, HoneServerOptions options)
    {
        services.AddSingleton<IMemoryPoolFactory<byte>, ConnectionMemory>();
        services.AddRoutingCore();
        services.AddCors();
        services.AddHostedService<DataFolderOwner>();
        services.AddHoneCore(options.Core);
        services.Configure<HostOptions>(host =>
        {
            host.ShutdownTimeout = options.ShutdownTimeout;
            // The worker gives its jobs back while requests end: it must not be left what time they leave.
            host.ServicesStopConcurrently = true;
        });
        // For the document: names as the answers have them.
        services.ConfigureHttpJsonOptions(json =>
        {
            json.SerializerOptions.PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower;
            json.SerializerOptions.TypeInfoResolverChain.Insert(0, CloudflareJson.Default);
        });
        services.AddOpenApi(openApi => openApi.AddSchemaTransformer(ApiDescription.DescribeSchema).AddDocumentTransformer(ApiDescription.DescribeDocument));
        services.AddHoneEngines(options.Engines ?? new EngineSettings { DataFolder = options.Core.DataFolder });
        services.AddSingleton(provider => new RateLimits(options.RateLimit, provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton<Doorkeeper>();
        services.AddSingleton<ListCache>();
        services.AddSingleton<ModelLoad>();
        services.AddSingleton<RunServices>();
        services.AddSingleton<JobViews>();
        services.AddHostedService<JobValidation>();
        options.Services?.Invoke(services);
    }

    private static void MapApi(WebApplication app)
    {
        var api = app.MapGroup("/client/v4");
        // The document's chapters.
        api.MapGroup("").WithTags("Accounts and tokens").MapTokens();
        var account = api.MapGroup("/accounts/{account_id}").AddEndpointFilter<AccountAccess>();
        var finetunes = account.MapGroup("").WithTags("Finetunes");
        finetunes.MapFinetunes();
        finetunes.MapAssets();
        finetunes.MapEvents();
        var models = account.MapGroup("").WithTags("Models");
        models.MapModels();
        models.MapRun();
        app.MapOpenAI();
    }

    private static void LogToStandardError(ILoggingBuilder logging) => logging
        .AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.IncludeScopes = true;
            console.TimestampFormat = "HH:mm:ss.fff ";
            console.UseUtcTimestamp = true;
        })
        .Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
}
