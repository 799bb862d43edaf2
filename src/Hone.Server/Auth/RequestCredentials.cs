using Hone.Server.Cloudflare;
using Microsoft.Extensions.Primitives;

namespace Hone.Server.Auth;

/// <summary>What a request's headers offer as proof: a bearer token, or an e-mail address with its key.</summary>
internal sealed record RequestCredentials(string? Token, string? Email, string? Key)
{
    private const int MaxLength = 512;
    private const int MinKeyLength = 20;

    /// <summary>Null and an error where the headers are absent or malformed. A bearer token wins over a key.</summary>
    public static RequestCredentials? Parse(IHeaderDictionary headers, out ApiError? error)
    {
        error = null;
        if (headers.TryGetValue("Authorization", out var authorization))
        {
            if (ParseBearer(authorization) is { } token)
                return new(token, null, null);
            error = ApiErrors.InvalidHeader(6111, "Invalid format for Authorization header");
            return null;
        }
        bool hasEmail = headers.TryGetValue("X-Auth-Email", out var email);
        bool hasKey = headers.TryGetValue("X-Auth-Key", out var key);
        if (!hasEmail && !hasKey)
            error = ApiErrors.MissingCredentials;
        else if (!IsKey(key))
            error = ApiErrors.InvalidHeader(6103, "Invalid format for X-Auth-Key header");
        else if (!IsEmail(email))
            error = ApiErrors.InvalidHeader(6102, "Invalid format for X-Auth-Email header");
        return error is null ? new(null, email.ToString(), key.ToString()) : null;
    }

    private static string? ParseBearer(StringValues header)
    {
        if (header.Count != 1 || header.ToString() is not { Length: <= MaxLength } value)
            return null;
        const string scheme = "Bearer ";
        if (!value.StartsWith(scheme, StringComparison.OrdinalIgnoreCase))
            return null;
        string token = value[scheme.Length..].Trim(' ');
        return IsVisible(token) ? token : null;
    }

    /// <summary>Has the form of a key, of whichever maker; whether it is known is asked later.</summary>
    private static bool IsKey(StringValues value) =>
        value.Count == 1 && value.ToString() is { Length: >= MinKeyLength and <= MaxLength } key && key.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-');

    private static bool IsEmail(StringValues value) =>
        value.Count == 1 && value.ToString() is { Length: <= MaxLength } email && email.IndexOf('@') is > 0 and var at && at < email.Length - 1 && IsVisible(email);

    private static bool IsVisible(string value) => value.Length is > 0 and <= MaxLength && !value.AsSpan().ContainsAnyExceptInRange('!', '~');
}
