using Hone.Core.Accounts;
using Hone.Server.Cloudflare;

namespace Hone.Server.Auth;

/// <summary>What an endpoint demands of the token; without it, reading is enough.</summary>
internal sealed record WritePermission;

/// <summary>Tells who a request speaks for, and counts it.</summary>
internal sealed class Doorkeeper(AccountService accounts, RateLimits limits)
{
    /// <summary>The caller, or the answer that he gets instead: malformed headers, then, where the credential is unknown, <paramref name="unknown"/>.</summary>
    /// <param name="bearerOnly">A key is no token: the verifies know it not.</param>
    public async ValueTask<(Principal? Caller, ApiError? Error)> AskAsync(HttpContext context, ApiError unknown, bool bearerOnly = false)
    {
        var credentials = RequestCredentials.Parse(context.Request.Headers, out var malformed);
        if (credentials is null)
            return (null, Refuse(context, malformed!));
        var caller = bearerOnly
            ? await accounts.AuthenticateBearerAsync(credentials.Token, context.RequestAborted)
            : await credentials.AuthenticateAsync(accounts, context.RequestAborted);
        if (caller is null)
            return (null, Refuse(context, unknown));
        return limits.Take(context, caller) is { } wait ? (null, ApiErrors.RateLimited(wait)) : (caller, null);
    }

    /// <summary>An error for somebody unknown, or that he has had too many of them.</summary>
    private ApiError Refuse(HttpContext context, ApiError error) => limits.TakeUnknown(context) is { } wait ? ApiErrors.RateLimited(wait) : error;
}

/// <summary>
/// Stands before every endpoint under <c>/accounts/{account_id}</c>: header's form, credential, rate limit, account's form, account, permission, in this order.
/// </summary>
internal sealed class AccountAccess(Doorkeeper doorkeeper) : IEndpointFilter
{
    public async ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        var http = context.HttpContext;
        string accountId = http.GetRouteValue("account_id") as string ?? "";
        bool sound = IsAccountId(accountId);
        var (caller, error) = await doorkeeper.AskAsync(http, sound ? ApiErrors.AuthenticationError : ApiErrors.CouldNotRoute(http.Request.Path));
        if (caller is null)
            return error;
        if (!sound)
            return ApiErrors.CouldNotRoute(http.Request.Path);
        if (!caller.AccountId.Equals(accountId, StringComparison.OrdinalIgnoreCase))
            return ApiErrors.AuthenticationError;
        if (!caller.MayWrite && http.GetEndpoint()?.Metadata.GetMetadata<WritePermission>() is not null)
            return ApiErrors.MissingPermission;
        http.Items[typeof(Principal)] = caller;
        return await next(context);
    }

    internal static bool IsAccountId(string value)
    {
        if (value.Length != 32)
            return false;
        foreach (char c in value)
        {
            if (!char.IsAsciiHexDigit(c))
                return false;
        }
        return true;
    }
}

/// <summary>Stands before the endpoints that belong to the caller himself.</summary>
internal sealed class UserAccess(Doorkeeper doorkeeper) : IEndpointFilter
{
    public async ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        var http = context.HttpContext;
        var (caller, error) = await doorkeeper.AskAsync(http, ApiErrors.AuthenticationError);
        if (caller is null)
            return error;
        http.Items[typeof(Principal)] = caller;
        return await next(context);
    }
}

internal static class Callers
{
    public static Principal Caller(this HttpContext context) => (Principal)context.Items[typeof(Principal)]!;

    /// <summary>Whether what the request came with would be let in now as well: a stream may outlive its token.</summary>
    public static async ValueTask<bool> IsStillKnownAsync(this HttpContext context, CancellationToken cancellationToken) =>
        RequestCredentials.Parse(context.Request.Headers, out _) is { } credentials
        && await credentials.AuthenticateAsync(context.RequestServices.GetRequiredService<AccountService>(), cancellationToken) is { } caller && caller.AccountId == context.Caller().AccountId;

    public static ValueTask<Principal?> AuthenticateAsync(this RequestCredentials credentials, AccountService accounts, CancellationToken cancellationToken) =>
        credentials.Token is { } token
            ? accounts.AuthenticateBearerAsync(token, cancellationToken)
            : new(accounts.AuthenticateKeyAsync(credentials.Email, credentials.Key, cancellationToken));

    public static RouteHandlerBuilder NeedsWrite(this RouteHandlerBuilder endpoint) => endpoint.WithMetadata(new WritePermission());
}
