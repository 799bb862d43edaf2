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
        api.MapGet("/user/tokens/verify", VerifyUserTokenAsync).WithSummary("Tell whether a token works").Answers(ApiExamples.Verified, CloudflareJson.Default.TokenVerifyView, ApiErrors.InvalidToken);
        api.MapGet("/accounts/{account_id}/tokens/verify", VerifyAccountTokenAsync).WithSummary("Tell whether an account's token works").Answers(ApiExamples.Verified, CloudflareJson.Default.TokenVerifyView, ApiErrors.Unauthorized);
        api.MapGet("/accounts/{account_id}", GetAccountAsync).WithSummary("Get an account").Answers(ApiExamples.OneAccount, CloudflareJson.Default.AccountView, ApiErrors.Unauthorized);
        var own = api.MapGroup("").AddEndpointFilter<UserAccess>();
        own.MapGet("/user", GetUser).WithSummary("Get the caller").Answers(ApiExamples.User, CloudflareJson.Default.UserView);
        own.MapGet("/accounts", ListAccountsAsync).WithSummary("List the caller's accounts").TakesQuery("page", "Default 1").TakesQuery("per_page", "Default 20").Answers(ApiExamples.Accounts, CloudflareJson.Default.IReadOnlyListAccountView);
        own.MapGet("/memberships", ListMembershipsAsync).WithSummary("List the caller's memberships").TakesQuery("page", "Default 1").TakesQuery("per_page", "Default 20").Answers(ApiExamples.Memberships, CloudflareJson.Default.IReadOnlyListMembershipView);
    }

    private static async Task<IResult> VerifyUserTokenAsync(HttpContext context, Doorkeeper doorkeeper)
    {
        var (caller, error) = await doorkeeper.AskAsync(context, ApiErrors.InvalidToken, bearerOnly: true);
        return caller is null ? error! : Verified(caller);
    }

    private static async Task<IResult> VerifyAccountTokenAsync(HttpContext context, string account_id, Doorkeeper doorkeeper)
    {
        if (await OwnerAsync(context, account_id, doorkeeper, bearerOnly: true) is var (caller, error) && caller is null)
            return error!;
        return Verified(caller);
    }

    private static async Task<IResult> GetAccountAsync(HttpContext context, string account_id, AccountService accounts, Doorkeeper doorkeeper, CancellationToken cancellationToken)
    {
        if (await OwnerAsync(context, account_id, doorkeeper, bearerOnly: false) is var (caller, error) && caller is null)
            return error!;
        return await accounts.FindAsync(caller.AccountId, cancellationToken) is { } account ? Envelope.Ok(View(account), CloudflareJson.Default.AccountView) : ApiErrors.Unauthorized;
    }

    /// <summary>The caller where the account is his own.</summary>
    private static async ValueTask<(Principal? Caller, ApiError? Error)> OwnerAsync(HttpContext context, string accountId, Doorkeeper doorkeeper, bool bearerOnly)
    {
        bool sound = AccountAccess.IsAccountId(accountId);
        var refused = sound ? ApiErrors.Unauthorized : ApiErrors.CouldNotRoute(context.Request.Path);
        var (caller, error) = await doorkeeper.AskAsync(context, refused, bearerOnly);
        if (caller is null)
            return (null, error);
        return sound && caller.AccountId.Equals(accountId, StringComparison.OrdinalIgnoreCase) ? (caller, null) : (null, refused);
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
        double.TryParse(query[name], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value) && double.IsFinite(value) && value >= minimum
            ? (int)Math.Min(value, maximum)
            : null;
}
