using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Tests.Store;

public sealed class SqliteJobQueueTests : JobQueueConformance
{
    private protected override Task<TestHone> StartAsync(HoneLimits? limits = null) => TestHone.StartAsync(limits);

    private protected override Task ExpireAsync(TestHone hone, Guid id) => hone.Writer.RunAsync(db => db.Finetunes
        .Where(f => f.Id == id && f.LeaseUntil != null)
        .ExecuteUpdateAsync(set => set.SetProperty(f => f.LeaseUntil, DateTimeOffset.UnixEpoch)), TestContext.Current.CancellationToken);

    private protected override Task<int> PublishWithoutFenceAsync(TestHone hone, Guid id) => hone.Writer.RunAsync(db => db.Database.ExecuteSqlAsync(
        $"UPDATE finetunes SET state = 'ready', finalized_at = 1, lease_until = NULL WHERE id = {id.ToString("D")} AND state = 'running' AND NOT cancel_requested"), TestContext.Current.CancellationToken);
}
