namespace Hone.Server.Requests;

internal sealed partial class RequestIdentity
{
    private static readonly Func<ILogger, string, IDisposable?> Scope = LoggerMessage.DefineScope<string>("cf-ray {CfRay}");

    [LoggerMessage(1, LogLevel.Information, "{Method} {Path} → {Status} in {Milliseconds:0.0} ms")]
    private partial void LogRequest(string method, string path, int status, double milliseconds);

    [LoggerMessage(2, LogLevel.Information, "The client hung up ({Reason})")]
    private partial void LogClientGone(string reason);

    [LoggerMessage(3, LogLevel.Error, "The request failed")]
    private partial void LogFailure(Exception exception);
}
