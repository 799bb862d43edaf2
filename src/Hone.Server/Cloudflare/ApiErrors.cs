using Hone.Core.Store;
using Hone.Formats;

namespace Hone.Server.Cloudflare;

/// <summary>
/// The error table of the dialect: every code and text in one place. Codes below 7000 that the original does not publish are Hone's own;
/// <c>docs/compatibility.md</c> lists them.
/// </summary>
internal static class ApiErrors
{
    public const int UnknownModel = 1000;
    public const int InvalidField = 1001;
    public const int DuplicateName = 1002;
    public const int QuotaExceeded = 1003;
    public const int InvalidUpload = 1004;
    public const int AssetRefused = 1005;
    public const int AdapterRefused = 1006;
    public const int TrainingDataRefused = 1007;
    public const int WrongState = 1008;

    public static ApiError NoRoute { get; } = new(404, 7000, "No route for that URI");

    public static ApiError NotOffered(string what) => new(404, 7000, $"No route for that URI: {what} is not offered by this server");

    public static ApiError CouldNotRoute(string path) =>
        new(404, 7003, $"Could not route to {path.Shown()}, perhaps your object identifier is invalid?");

    public static ApiError MethodNotAllowed(string method, string allow) =>
        new(405, 10405, $"Method {method} is not allowed for this URI, use {allow}");

    public static ApiError Encoded(string encoding) => new(415, 10415, $"Bodies are read as they are: send this one without Content-Encoding {encoding.Shown()}");

    public static ApiError InvalidHeader(int chainCode, string chainMessage) =>
        new(400, [new ApiMessage(6003, "Invalid request headers", new ApiMessage(chainCode, chainMessage))]);

    public static ApiError AuthenticationError { get; } = new(403, 10000, "Authentication error");

    public static ApiError MissingCredentials { get; } = new(403, [new ApiMessage(10000, "Authentication error",
        new ApiMessage(9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers"))]);

    public static ApiError MissingPermission { get; } = new(403, [new ApiMessage(10000, "Authentication error",
        new ApiMessage(9109, "The token lacks the permission Workers AI Write"))]);

    public static ApiError Unauthorized { get; } = new(403, 9109, "Unauthorized to access requested resource");

    public static ApiError InvalidToken { get; } = new(401, 1000, "Invalid API Token");

    public static ApiError TooLarge(long limit) =>
        new(413, 3006, $"Request is too large: the limit is {limit} bytes") { FromAi = true };

    public static ApiError MalformedJson(string why) => new(400, 6007, $"Malformed JSON in request body: {why}");

    public static ApiError BadInput(string why) => new(400, 5006, $"AiError: Bad input: {why}") { FromAi = true };

    public static ApiError BadInput(IEnumerable<string> reasons) =>
        new(400, [.. reasons.Select(why => new ApiMessage(5006, $"AiError: Bad input: {why}"))]) { FromAi = true };

    public static ApiError NoSuchModel(string model) => new(400, 5007, $"AiError: No such model {model.Shown()} or task") { FromAi = true };

    public static ApiError FinetuneNotFound(string idOrName) =>
        new(404, 3037, $"AiError: AiError: Finetune {idOrName.Shown()} not found") { FromAi = true };

    public static ApiError FinetuneNotReady(string idOrName, string why) =>
        new(400, 3039, $"AiError: Finetune {idOrName.Shown()} cannot be used: {why}") { FromAi = true };

    public static ApiError Busy { get; } =
        new(429, 3040, "Capacity temporarily exceeded, please try again.") { FromAi = true, RetryAfter = TimeSpan.FromSeconds(1) };

    public static ApiError RateLimited(TimeSpan wait) =>
        new(429, 10429, $"Rate limited: too many requests, send the next one in {(int)wait.TotalSeconds} seconds") { RetryAfter = wait };

    public static ApiError TooLong(string why) => new(400, 5021, $"AiError: {why}") { FromAi = true };

    public static ApiError EngineFailed(int status, string why) => new(status, 3043, $"AiError: Internal server error: {why}") { FromAi = true };

    /// <summary>Where the folder lies is the server's business: its log has the exception, under the answer's id.</summary>
    public static ApiError StorageFailed(StorageProblem problem) => problem switch
    {
        StorageProblem.DiskFull => new(507, 10507, $"The server's disk is full. Nothing of this request is stored; send it again once there is space. {InTheLog}") { Retry = false },
        StorageProblem.Busy => new(503, 10503, $"Another process is writing the server's database; try again. {InTheLog}") { RetryAfter = TimeSpan.FromSeconds(1) },
        StorageProblem.ReadOnly => new(500, 10501, $"The server cannot write its data folder. Nothing of this request is stored. {InTheLog}") { Retry = false },
        StorageProblem.Damaged => new(500, 10501, $"The server's database is damaged. {InTheLog}") { Retry = false },
        StorageProblem.FileDamaged => new(500, 10501, $"The server's copy of the file is gone or damaged. {InTheLog}") { Retry = false },
        _ => new(500, 10501, $"The server's data folder cannot be used. {InTheLog}") { Retry = false },
    };

    public static ApiError Stopping { get; } = new(503, 10503, "The server shuts down. Nothing of this request is stored; send it again once the server is back.") { RetryAfter = TimeSpan.FromSeconds(1) };

    /// <summary>Of a stream of a job's events.</summary>
    public static ApiError JobGoesOn { get; } = new(503, 10503, "The server shuts down; the job goes on once it is back.");

    private const string InTheLog = "Its log has the details under this answer's cf-ray.";

    public static ApiError Internal { get; } = new(500, 10500, $"Internal server error. {InTheLog}");
}
