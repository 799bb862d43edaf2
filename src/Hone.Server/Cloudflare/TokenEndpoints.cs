using System.Globalization;
using System.Text.Json.Serialization.Metadata;
using Hone.Core.Accounts;
using Hone.Server.Auth;
using Hone.Server.Hosting;

namespace Hone.Server.Cloudflare;

/// <summary>Who am I: <c>/user</c>, <c>/user/tokens/verify</c>, <c>/accounts</c>, <c>/memberships</c>, and the account's own verify.</summary>
internal static class TokenEndpoints
{
    public static void MapTokens(this IEndpointRouteBuilder api)
    {
        // The verifies answer for themselves what other endpoints leave to the filters.
        api.MapGet("/user/tokens/verify", VerifyUserTokenAsync).WithSummary("Tell whether a token works").Answers<TokenVerifyView>();
        api.MapGet("/accounts/{account_id}/tokens/verify", VerifyAccountTokenAsync).WithSummary("Tell whether an account's token works").Answers<TokenVerifyView>();
        api.MapGet("/accounts/{account_id}", GetAccountAsync).WithSummary("Get an account").Answers<AccountView>();
        var own = api.MapGroup("").AddEndpointFilter<UserAccess>();
        own.MapGet("/user", GetUser).WithSummary("Get the caller").Answers<UserView>();
        own.MapGet("/accounts", ListAccountsAsync).WithSummary("List the caller's accounts").Answers<IReadOnlyList<AccountView>>();
        own.MapGet("/memberships", ListMembershipsAsync).WithSummary("List the caller's memberships").Answers<IReadOnlyList<MembershipView>>();
    }

    private static async Task<IResult> VerifyUserTokenAsync(HttpContext context, AccountService accounts, CancellationToken cancellationToken)
    {
        if (RequestCredentials.Parse(context.Request.Headers, out var error) is not { } credentials)
            return error!;
        return await accounts.AuthenticateBearerAsync(credentials.Token, cancellationToken) is { } caller ? Verified(caller) : ApiErrors.InvalidToken;
    }

    private static async Task<IResult> VerifyAccountTokenAsync(HttpContext context, string account_id, AccountService accounts, CancellationToken cancellationToken)
    {
        if (RequestCredentials.Parse(context.Request.Headers, out var error) is not { } credentials)
            return error!;
        if (!AccountAccess.IsAccountId(account_id))
            return ApiErrors.CouldNotRoute(context.Request.Path);
        return await accounts.AuthenticateBearerAsync(credentials.Token, cancellationToken) is { } caller && Owns(caller, account_id)
            ? Verified(caller)
            : ApiErrors.Unauthorized;
    }

    private static async Task<IResult> GetAccountAsync(HttpContext context, string account_id, AccountService accounts, CancellationToken cancellationToken)
    {
        if (RequestCredentials.Parse(context.Request.Headers, out var error) is not { } credentials)
            return error!;
        if (!AccountAccess.IsAccountId(account_id))
            return ApiErrors.CouldNotRoute(context.Request.Path);
        return await credentials.AuthenticateAsync(accounts, cancellationToken) is { } caller && Owns(caller, account_id)
            && await accounts.FindAsync(caller.AccountId, cancellationToken) is { } account
            ? Envelope.Ok(View(account), CloudflareJson.Default.AccountView)
            : ApiErrors.Unauthorized;
    }

    private static Answer<UserView> GetUser(HttpContext context)
    {
        var caller = context.Caller();
        return Envelope.Ok(
            new UserView(caller.AccountId, caller.Email, caller.AccountName, null, null, false, false, [new(caller.AccountId, caller.AccountName, "member")]),
            CloudflareJson.Default.UserView);
    }

    private static async Task<IResult> ListAccountsAsync(HttpContext context, AccountService accounts, CancellationToken cancellationToken)
    {
        var account = await accounts.FindAsync(context.Caller().AccountId, cancellationToken);
        return Paged(context, account is null ? [] : [View(account)], CloudflareJson.Default.IReadOnlyListAccountView);
    }

    private static async Task<IResult> ListMembershipsAsync(HttpContext context, AccountService accounts, CancellationToken cancellationToken)
    {
        var caller = context.Caller();
        var account = await accounts.FindAsync(caller.AccountId, cancellationToken);
        IReadOnlyList<MembershipView> memberships = account is null ? [] : [new(account.Id, "accepted", View(account), [caller.MayWrite ? "Workers AI Write" : "Workers AI Read"])];
        return Paged(context, memberships, CloudflareJson.Default.IReadOnlyListMembershipView);
    }

    private static Answer<IReadOnlyList<T>> Paged<T>(HttpContext context, IReadOnlyList<T> all, JsonTypeInfo<IReadOnlyList<T>> type)
    {
        var paging = Paging.Of(context.Request.Query, 20);
        IReadOnlyList<T> page = [.. paging.Take(all)];
        return new(page, type) { Page = new(paging.Page, paging.PerPage, page.Count, all.Count) };
    }

    private static bool Owns(Principal caller, string accountId) => caller.AccountId.Equals(accountId, StringComparison.OrdinalIgnoreCase);

    private static Answer<TokenVerifyView> Verified(Principal caller) =>
        new(new(caller.TokenId!, "active", caller.ExpiresAt), CloudflareJson.Default.TokenVerifyView) { Message = new(10000, "This API Token is valid and active") };

    private static AccountView View(Account account) => new(account.Id, account.Name, "standard", new(false), account.CreatedAt);
}

/// <summary><c>page</c> and <c>per_page</c>; what cannot be read counts as not given, as with the original.</summary>
internal sealed record Paging(int Page, int PerPage)
{
    public const int MaxPerPage = 1000;

    public static Paging Of(IQueryCollection query, int defaultPerPage) =>
        new(Number(query, "page", 1, int.MaxValue) ?? 1, Number(query, "per_page", 1, MaxPerPage) ?? defaultPerPage);

    public IEnumerable<T> Take<T>(IReadOnlyList<T> all)
    {
        long start = (Page - 1L) * PerPage;
        return start >= all.Count ? [] : all.Skip((int)start).Take(PerPage);
    }

    /// <summary>SDKs send numbers as <c>20</c>, some as <c>20.0</c>.</summary>
    public static int? Number(IQueryCollection query, string name, int minimum, int maximum) =>
        double.TryParse(query[name], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value) && value >= minimum
            ? (int)Math.Min(value, maximum)
            : null;
}
