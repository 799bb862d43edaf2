using Hone.Core.Store;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace Hone.Server.Hosting;

/// <summary><c>/healthz</c>: the process answers. <c>/readyz</c>: it may be given work.</summary>
internal static class Health
{
    // Load balancers and monitors ask with either.
    private static readonly string[] s_methods = [HttpMethods.Get, HttpMethods.Head];

    public static void MapHealth(this IEndpointRouteBuilder app)
    {
        app.MapMethods("/healthz", s_methods, () => TypedResults.Text("""{"status":"ok"}""", "application/json")).ExcludeFromDescription();
        app.MapMethods("/readyz", s_methods, ReadyAsync).ExcludeFromDescription();
    }

    private static async Task<IResult> ReadyAsync(HoneStore store, IHostApplicationLifetime lifetime, CancellationToken cancellationToken)
    {
        if (lifetime.ApplicationStopping.IsCancellationRequested)
            return NotReady("stopping");
        try
        {
            await using var db = store.Read();
            await db.Accounts.AnyAsync(cancellationToken);
            return TypedResults.Text("""{"status":"ready"}""", "application/json");
        }
        catch (Exception e) when (StorageException.From(e, "The data folder") is not null)
        {
            return NotReady("the database does not answer");
        }
    }

    private static ContentHttpResult NotReady(string why) => TypedResults.Text($$"""{"status":"not ready","why":"{{why}}"}""", "application/json", statusCode: 503);
}
