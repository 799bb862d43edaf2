using Hone.Core.Accounts;
using Hone.Server.Auth;

namespace Hone.Server.OpenAI;

/// <summary>Stands before every endpoint of the dialect: credential, account where the path names one, permission.</summary>
internal sealed class OpenAIAccess(AccountService accounts) : IEndpointFilter
{
    public async ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        var http = context.HttpContext;
        if (RequestCredentials.Parse(http.Request.Headers, out _) is not { } credentials)
            return http.Request.Headers.ContainsKey("Authorization") ? OpenAIError.InvalidKey(null) : OpenAIError.MissingKey;
        if (await credentials.AuthenticateAsync(accounts, http.RequestAborted) is not { } caller)
            return OpenAIError.InvalidKey(credentials.Token ?? credentials.Key);
        if (http.GetRouteValue("account_id") is string account && !caller.AccountId.Equals(account, StringComparison.OrdinalIgnoreCase))
            return new OpenAIError(403, "The API key belongs to another account than the one in the address.", null, "account_mismatch");
        if (!caller.MayWrite && http.GetEndpoint()?.Metadata.GetMetadata<WritePermission>() is not null)
            return OpenAIError.InsufficientPermissions("The token may only read.");
        http.Items[typeof(Principal)] = caller;
        return await next(context);
    }
}
