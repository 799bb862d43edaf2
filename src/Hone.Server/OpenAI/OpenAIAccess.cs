using Hone.Core.Accounts;
using Hone.Server.Auth;
using Hone.Server.Cloudflare;

namespace Hone.Server.OpenAI;

/// <summary>Stands before every endpoint of the dialect: credential, rate limit, account where the path names one, permission.</summary>
internal sealed class OpenAIAccess(Doorkeeper doorkeeper) : IEndpointFilter
{
    public async ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        var http = context.HttpContext;
        var (caller, error) = await doorkeeper.AskAsync(http, ApiErrors.InvalidToken);
        if (caller is null)
            return error is { Status: 429 } ? error : Unknown(http.Request.Headers);
        if (http.GetRouteValue("account_id") is string account && !caller.AccountId.Equals(account, StringComparison.OrdinalIgnoreCase))
            return OpenAIError.AccountMismatch;
        if (!caller.MayWrite && http.GetEndpoint()?.Metadata.GetMetadata<WritePermission>() is not null)
            return OpenAIError.InsufficientPermissions("The token may only read.");
        http.Items[typeof(Principal)] = caller;
        return await next(context);
    }

    private static OpenAIError Unknown(IHeaderDictionary headers)
    {
        if (RequestCredentials.Parse(headers, out _) is { } credentials)
            return OpenAIError.InvalidKey(credentials.Token ?? credentials.Key);
        return headers.ContainsKey("Authorization") ? OpenAIError.InvalidKey(null) : OpenAIError.MissingKey;
    }
}
