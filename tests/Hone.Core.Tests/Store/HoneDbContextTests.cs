using Hone.Core.Finetunes;
using Hone.Core.Models;
using Hone.Core.Store;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Tests.Store;

public sealed class HoneDbContextTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Migrations_Model_NothingPending()
    {
        await using TestHone hone = await TestHone.StartAsync();
        await using HoneDbContext db = hone.Store.Read();
        Assert.False(db.Database.HasPendingModelChanges());
        Assert.Empty(await db.Database.GetPendingMigrationsAsync(Stop));
    }

    [Fact]
    public async Task Initialize_Again_KeepsEverything()
    {
        await using TestHone hone = await TestHone.StartAsync();
        Finetune made = await hone.CreateAsync("kept");
        await hone.Store.InitializeAsync(Stop);
        await using TestHone again = TestHone.Create(folder: hone.Folder);
        await again.Store.InitializeAsync(Stop);
        Assert.Equal(made.Id, (await again.Finetunes.FindAsync(hone.AccountId, "kept", false, Stop))!.Id);
    }

    [Fact]
    public async Task Connections_Settings_AreDurable()
    {
        await using TestHone hone = await TestHone.StartAsync();
        await using HoneDbContext db = hone.Store.Read();
        Assert.Equal("wal", await db.Database.SqlQueryRaw<string>("SELECT journal_mode AS Value FROM pragma_journal_mode").SingleAsync(Stop));
        Assert.Equal(2, await db.Database.SqlQueryRaw<int>("SELECT synchronous AS Value FROM pragma_synchronous").SingleAsync(Stop));
        Assert.Equal(1, await db.Database.SqlQueryRaw<int>("SELECT foreign_keys AS Value FROM pragma_foreign_keys").SingleAsync(Stop));
    }

    [Fact]
    public async Task FinetuneCount_CreatedDeletedAndFailed_IsTheNumberOfRows()
    {
        await using TestHone hone = await TestHone.StartAsync(new HoneLimits { FinetunesPerAccount = 3 });
        for (int round = 0; round < 2; round++)
        {
            foreach (string name in (string[])["a", "b", "c"])
                await hone.CreateAsync(name);
            Assert.IsType<CreateResult.DuplicateName>(await hone.Finetunes.CreateAsync(hone.AccountId, new CreateFinetune { Model = ModelCatalog.EmbeddedId, Name = "a" }, Stop));
            Assert.IsType<CreateResult.Invalid>(await hone.Finetunes.CreateAsync(hone.AccountId, new CreateFinetune { Model = ModelCatalog.EmbeddedId, Name = "d" }, Stop));
            await using HoneDbContext db = hone.Store.Read();
            Assert.Equal(3, await db.Database.SqlQueryRaw<int>("SELECT finetunes AS Value FROM accounts").SingleAsync(Stop));
            foreach (string name in (string[])["a", "b", "c"])
                await hone.Finetunes.DeleteAsync(hone.AccountId, name, Stop);
            Assert.Equal(0, await db.Database.SqlQueryRaw<int>("SELECT finetunes AS Value FROM accounts").SingleAsync(Stop));
        }
    }

    [Theory]
    [InlineData("state = 'done'", "ck_finetunes_state")]
    [InlineData("finalized_at = 1", "ck_finetunes_finalized_at")]
    [InlineData("state = 'ready'", "ck_finetunes_finalized_at")]
    [InlineData("state = 'cancelled'", "ck_finetunes_finalized_at")]
    [InlineData("state = 'running'", "ck_finetunes_lease")]
    [InlineData("lease_until = 1", "ck_finetunes_lease")]
    [InlineData("state = 'failed', finalized_at = 1", "ck_finetunes_error")]
    [InlineData("fence = -1", "ck_finetunes_fence")]
    [InlineData("account_id = 'nobody'", "FOREIGN KEY")]
    public async Task Update_IllegalRow_Rejected(string set, string constraint)
    {
        await using TestHone hone = await TestHone.StartAsync();
        await hone.CreateAsync("row");
        string sql = $"UPDATE finetunes SET {set}";
        SqliteException refused = await Assert.ThrowsAsync<SqliteException>(() => hone.Writer.RunAsync(db => db.Database.ExecuteSqlRawAsync(sql, Stop), Stop));
        Assert.Contains(constraint, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Update_LegalRow_Accepted()
    {
        await using TestHone hone = await TestHone.StartAsync();
        await hone.CreateAsync("row");
        string[] changes =
        [
            "UPDATE finetunes SET state = 'running', lease_until = 1",
            "UPDATE finetunes SET state = 'failed', lease_until = NULL, finalized_at = 1, error_code = 'x'",
            "UPDATE finetunes SET state = 'ready', error_code = NULL",
        ];
        foreach (string sql in changes)
            Assert.Equal(1, await hone.Writer.RunAsync(db => db.Database.ExecuteSqlRawAsync(sql, Stop), Stop));
    }

    [Fact]
    public async Task Initialize_FileIsNoDatabase_SaysSo()
    {
        await using TestHone hone = TestHone.Create();
        await File.WriteAllTextAsync(Path.Combine(hone.Folder, "hone.db"), string.Concat(Enumerable.Repeat("not a database ", 500)), Stop);
        StorageException e = await Assert.ThrowsAsync<StorageException>(() => hone.Store.InitializeAsync(Stop));
        Assert.Equal(StorageProblem.Damaged, e.Problem);
        Assert.Contains(hone.Folder, e.Message, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task Initialize_KilledWhileMigrating_GoesOn()
    {
        await using TestHone hone = TestHone.Create();
        await using (var connection = new SqliteConnection($"Data Source={hone.DataFolder.DatabasePath};Pooling=False"))
        {
            await connection.OpenAsync(Stop);
            await using SqliteCommand command = connection.CreateCommand();
            command.CommandText = """
                CREATE TABLE "__EFMigrationsLock" ("Id" INTEGER NOT NULL CONSTRAINT "PK___EFMigrationsLock" PRIMARY KEY, "Timestamp" TEXT NOT NULL);
                INSERT INTO "__EFMigrationsLock" VALUES (1, '2026-01-01 00:00:00+00:00');
                """;
            await command.ExecuteNonQueryAsync(Stop);
        }
        using (hone.DataFolder.Lock())
            await hone.Store.InitializeAsync(Stop);
        Assert.Empty(await hone.Accounts.ListAsync(Stop));
    }

    [Fact]
    public async Task Initialize_DatabaseOfANewerVersion_SaysSo()
    {
        await using TestHone hone = await TestHone.StartAsync();
        await hone.Writer.RunAsync(db => db.Database.ExecuteSqlRawAsync("""INSERT INTO "__EFMigrationsHistory" VALUES ('99991231235959_Later', '99.0.0')""", Stop), Stop);
        StorageException e = await Assert.ThrowsAsync<StorageException>(() => hone.Store.InitializeAsync(Stop));
        Assert.Equal(StorageProblem.Newer, e.Problem);
    }
}
