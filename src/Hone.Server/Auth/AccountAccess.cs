using Hone.Core.Accounts;
using Hone.Server.Cloudflare;

namespace Hone.Server.Auth;

/// <summary>What an endpoint demands of the token; without it, reading is enough.</summary>
internal sealed record WritePermission;

/// <summary>
/// Stands before every endpoint under <c>/accounts/{account_id}</c>: header's form, account's form, credential, account, permission, in this order.
/// </summary>
internal sealed class AccountAccess(AccountService accounts) : IEndpointFilter
{
    public async ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        var http = context.HttpContext;
        var credentials = RequestCredentials.Parse(http.Request.Headers, out var error);
        if (credentials is null)
            return error;
        string accountId = http.GetRouteValue("account_id") as string ?? "";
        if (!IsAccountId(accountId))
            return ApiErrors.CouldNotRoute(http.Request.Path);
        if (await credentials.AuthenticateAsync(accounts, http.RequestAborted) is not { } caller || !caller.AccountId.Equals(accountId, StringComparison.OrdinalIgnoreCase))
            return ApiErrors.AuthenticationError;
        if (!caller.MayWrite && http.GetEndpoint()?.Metadata.GetMetadata<WritePermission>() is not null)
            return ApiErrors.MissingPermission;
        http.Items[typeof(Principal)] = caller;
        return await next(context);
    }

    internal static bool IsAccountId(string value) => value.Length == 32 && value.All(char.IsAsciiHexDigit);
}

/// <summary>Stands before the endpoints that belong to the caller himself.</summary>
internal sealed class UserAccess(AccountService accounts) : IEndpointFilter
{
    public async ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        var http = context.HttpContext;
        var credentials = RequestCredentials.Parse(http.Request.Headers, out var error);
        if (credentials is null)
            return error;
        if (await credentials.AuthenticateAsync(accounts, http.RequestAborted) is not { } caller)
            return ApiErrors.AuthenticationError;
        http.Items[typeof(Principal)] = caller;
        return await next(context);
    }
}

internal static class Callers
{
    public static Principal Caller(this HttpContext context) => (Principal)context.Items[typeof(Principal)]!;

    public static Task<Principal?> AuthenticateAsync(this RequestCredentials credentials, AccountService accounts, CancellationToken cancellationToken) =>
        credentials.Token is { } token
            ? accounts.AuthenticateBearerAsync(token, cancellationToken)
            : accounts.AuthenticateKeyAsync(credentials.Email, credentials.Key, cancellationToken);

    public static RouteHandlerBuilder NeedsWrite(this RouteHandlerBuilder endpoint) => endpoint.WithMetadata(new WritePermission());
}
