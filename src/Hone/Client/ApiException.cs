using System.Net;

namespace Hone.Client;

/// <summary>The server answered with an error of the API's envelope.</summary>
internal sealed class ApiException(HttpStatusCode status, IReadOnlyList<ApiErrorEntry> errors, System.Text.Json.JsonElement? result)
    : Exception(errors.Count == 0 ? $"The server answered {(int)status} without saying why." : string.Join(" ", errors.Select(e => $"{e.Message} [code {e.Code}]")))
{
    private const int NoSuchModel = 5007;

    public HttpStatusCode Status { get; } = status;

    public IReadOnlyList<ApiErrorEntry> Errors { get; } = errors;

    /// <summary>What came with the error, for example the lint report of a refused upload.</summary>
    public System.Text.Json.JsonElement? Result { get; } = result;

    /// <summary>What to do about it.</summary>
    public string? Hint => Status switch
    {
        HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden => "check --token (or HONE_TOKEN); `hone tokens create` makes a new one.",
        HttpStatusCode.NotFound => "check --account and the name; `hone finetune list` shows what the account has.",
        HttpStatusCode.TooManyRequests => "wait a moment and try again.",
        HttpStatusCode.BadRequest when Errors.Any(error => error.Code == NoSuchModel) => "`hone models list` shows the models that there are.",
        >= HttpStatusCode.InternalServerError => "the server's log says more; trying again may help.",
        _ => null,
    };
}
