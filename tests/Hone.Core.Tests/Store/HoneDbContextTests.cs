using Hone.Core.Accounts;
using Hone.Core.Finetunes;
using Hone.Core.Models;
using Hone.Core.Store;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

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
    [InlineData("finetunes", "state = 'done'", "ck_finetunes_state")]
    [InlineData("finetunes", "finalized_at = 1", "ck_finetunes_finalized_at")]
    [InlineData("finetunes", "state = 'ready'", "ck_finetunes_finalized_at")]
    [InlineData("finetunes", "state = 'cancelled'", "ck_finetunes_finalized_at")]
    [InlineData("finetunes", "state = 'running'", "ck_finetunes_lease")]
    [InlineData("finetunes", "lease_until = 1", "ck_finetunes_lease")]
    [InlineData("finetunes", "state = 'failed', finalized_at = 1", "ck_finetunes_error")]
    [InlineData("finetunes", "fence = -1", "ck_finetunes_fence")]
    [InlineData("finetunes", "account_id = 'nobody'", "FOREIGN KEY")]
    [InlineData("finetune_events", "sequence = 0", "ck_finetune_events_sequence")]
    [InlineData("finetune_events", "level = 'loud'", "ck_finetune_events_level")]
    [InlineData("finetune_events", "type = 'other'", "ck_finetune_events_type")]
    [InlineData("finetune_events", "finetune_id = 'none'", "FOREIGN KEY")]
    [InlineData("finetune_events", "message = NULL", "NOT NULL")]
    public async Task Update_IllegalRow_Rejected(string table, string set, string constraint)
    {
        await using TestHone hone = await TestHone.StartAsync();
        await hone.CreateAsync("row");
        string sql = $"UPDATE {table} SET {set}";
        SqliteException refused = await Assert.ThrowsAsync<SqliteException>(() => hone.Writer.RunAsync(db => db.Database.ExecuteSqlRawAsync(sql, Stop), Stop));
        Assert.Contains(constraint, refused.Message, StringComparison.Ordinal);
    }

    /// <summary>Finetunes that wait for files, or have ended, are many: what is asked each second reads none of them.</summary>
    [Theory]
    [InlineData($"SELECT {SqliteJobQueue.Any}")]
    [InlineData("SELECT id FROM finetunes WHERE state = 'validating' ORDER BY created_at")]
    public async Task Index_QuestionsOfTheQueue_ReadNoOthers(string question)
    {
        await using TestHone hone = await TestHone.StartAsync();
        await using SqliteConnection connection = hone.Store.OpenConnection();
        await using SqliteCommand command = connection.CreateCommand();
        command.CommandText = $"EXPLAIN QUERY PLAN {question}";
        command.Parameters.AddWithValue("@lost", 3);
        await using SqliteDataReader row = await command.ExecuteReaderAsync(Stop);
        var plan = new List<string>();
        while (await row.ReadAsync(Stop))
            plan.Add(row.GetString(3));
        Assert.Contains(plan, step => step.Contains("IX_finetunes_state_priority_created_at", StringComparison.Ordinal));
        Assert.DoesNotContain(plan, step => step.StartsWith("SCAN finetunes", StringComparison.Ordinal));
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

    /// <summary>It would begin anew, and delete the files as nobody's.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Bug_DatabaseThatIsGoneOrEmpty_BeganAnewOverItsFiles(bool gone)
    {
        string folder = Directory.CreateTempSubdirectory("hone-core-").FullName, database;
        await using (TestHone hone = await TestHone.StartAsync(folder: folder))
        {
            database = hone.DataFolder.DatabasePath;
            await hone.BlobAsync("f", [1]);
        }
        foreach (string file in Directory.GetFiles(folder, Path.GetFileName(database) + "*"))
            File.Delete(file);
        if (!gone)
            File.WriteAllBytes(database, []);
        for (int start = 0; start < 2; start++)
        {
            await using TestHone again = TestHone.Create(folder: folder);
            StorageException e = await Assert.ThrowsAsync<StorageException>(() => again.Store.InitializeAsync(Stop));
            Assert.Equal(StorageProblem.Damaged, e.Problem);
            Assert.Contains("is gone or empty. Restore it from a backup", e.Message, StringComparison.Ordinal);
        }
        Directory.Delete(folder, recursive: true);
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

    public static TheoryData<string> OlderVersions()
    {
        using TestHoneContext made = new();
        return [.. made.Db.Database.GetMigrations().SkipLast(1)];
    }

    /// <summary>A folder of each older version, with rows as that one wrote them: everything is kept and goes on.</summary>
    [Theory]
    [MemberData(nameof(OlderVersions))]
    public async Task Initialize_DatabaseOfAnOlderVersion_KeepsWhatItHolds(string version)
    {
        await using TestHone hone = TestHone.Create(new HoneLimits { FinetunesPerAccount = 4 });
        string token = TokenFormat.Create(), account = new('a', 32), sha256 = new('0', 64);
        // Braces, and longer than a page.
        string data = $$"""{"step": "{{new string('x', 5000)}}"}""";
        Guid ready = Guid.NewGuid(), queued = Guid.NewGuid(), failed = Guid.NewGuid();
        using (TestHoneContext older = new(hone.DataFolder.DatabasePath))
        {
            await older.Db.GetService<IMigrator>().MigrateAsync(version, Stop);
            string[] columns = [.. await older.Db.Database.SqlQueryRaw<string>("""SELECT name AS "Value" FROM pragma_table_info('finetunes') WHERE "notnull" AND dflt_value IS NULL""").ToListAsync(Stop)];
            Assert.Equal(["id", "account_id", "name", "model", "public", "state", "created_at", "modified_at", "priority", "fence", "attempts", "cancel_requested"], columns);
            await older.Db.Database.ExecuteSqlAsync($"""
                INSERT INTO accounts (id, name, email, key_hash, created_at) VALUES ({account}, 'old', 'old@example.org', {TokenFormat.Hash(TokenFormat.Create())}, 1);
                INSERT INTO api_tokens (id, account_id, name, permission, hash, prefix, created_at) VALUES ('t', {account}, 't', 'write', {TokenFormat.Hash(token)}, 'hone_', 1);
                INSERT INTO finetunes (id, account_id, name, model, public, state, created_at, modified_at, priority, fence, attempts, cancel_requested, finalized_at, error_code) VALUES
                    ({ready.ToString()}, {account}, 'ready', {ModelCatalog.EmbeddedId}, 1, 'ready', 1, 1, 0, 1, 1, 0, 9, NULL),
                    ({queued.ToString()}, {account}, 'queued', {ModelCatalog.EmbeddedId}, 0, 'queued', 2, 2, 0, 0, 0, 0, NULL, NULL),
                    ({failed.ToString()}, {account}, 'failed', {ModelCatalog.EmbeddedId}, 0, 'failed', 3, 3, 0, 1, 1, 0, 9, 'diverged');
                INSERT INTO finetune_assets (finetune_id, file_name, sha256, size, created_at) VALUES ({ready.ToString()}, 'adapter_config.json', {sha256}, 1, 1);
                INSERT INTO finetune_events (finetune_id, sequence, created_at, level, type, message, data_json) VALUES
                    ({failed.ToString()}, 1, 3, 'error', 'message', 'diverged', NULL), ({ready.ToString()}, 2, 2, 'warn', 'metrics', 'a step', {data}),
                    ({ready.ToString()}, 1, 1, 'info', 'message', 'from before', NULL);
                """, Stop);
        }

        await hone.Store.InitializeAsync(Stop);

        Assert.Equal(account, (await hone.Accounts.AuthenticateBearerAsync(token, Stop))!.AccountId);
        Assert.Equal(["ready", "queued", "failed"], (await hone.Finetunes.ListAsync(account, Stop)).Select(f => f.State.Name()));
        Assert.Equal(ready, Assert.Single(await hone.Finetunes.ListPublicAsync(10, 0, PublicOrder.Name, Stop)).Id);
        Assert.Equal([(1, 1, "info", "message", "from before", null), (2, 2, "warn", "metrics", "a step", data)],
            (await hone.Finetunes.ListEventsAsync(ready, 0, 10, Stop)).Select(e => (e.Sequence, e.CreatedAt.ToUnixTimeMilliseconds(), e.Level, e.Type, e.Message, e.DataJson)));
        Assert.Equal("diverged", Assert.Single(await hone.Finetunes.ListEventsAsync(failed, 0, 10, Stop)).Message);
        // The quota counts those from before as well, and the queue has its job.
        foreach (string name in (string[])["new", "one too many"])
        {
            CreateResult made = await hone.Finetunes.CreateAsync(account, new CreateFinetune { Model = ModelCatalog.EmbeddedId, Name = name }, Stop);
            Assert.Equal(name == "new", made is CreateResult.Created);
        }
        Assert.NotNull(await hone.Finetunes.DeleteAsync(account, "failed", Stop));
        Assert.Empty(await hone.Finetunes.ListEventsAsync(failed, 0, 10, Stop));
        Assert.Equal(queued, (await hone.Queue.ClaimAsync("worker", TimeSpan.FromMinutes(1), Stop))!.FinetuneId);
    }

    /// <summary>A context without a store.</summary>
    private sealed class TestHoneContext(string path = ":memory:") : IDisposable
    {
        public HoneDbContext Db { get; } = new(new DbContextOptionsBuilder<HoneDbContext>().UseSqlite($"Data Source={path};Pooling=False").Options);

        public void Dispose() => Db.Dispose();
    }

    [Fact]
    public async Task Initialize_DatabaseOfANewerVersion_SaysSo()
    {
        await using TestHone hone = await TestHone.StartAsync();
        await hone.Writer.RunAsync(db => db.Database.ExecuteSqlRawAsync("""INSERT INTO "__EFMigrationsHistory" VALUES ('99991231235959_Later', '99.0.0')""", Stop), Stop);
        StorageException e = await Assert.ThrowsAsync<StorageException>(() => hone.Store.InitializeAsync(Stop));
        Assert.Equal(StorageProblem.Newer, e.Problem);
    }

    [Fact]
    public async Task RequireVersion_AnotherVersion_SaysWhich()
    {
        await using TestHone hone = TestHone.Create();
        using (TestHoneContext older = new(hone.DataFolder.DatabasePath))
            await older.Db.GetService<IMigrator>().MigrateAsync("Initial", Stop);
        StorageException e = await Assert.ThrowsAsync<StorageException>(() => hone.Store.RequireVersionAsync(Stop));
        Assert.Equal(StorageProblem.Older, e.Problem);

        await hone.Store.InitializeAsync(Stop);
        await hone.Store.RequireVersionAsync(Stop);

        await hone.Writer.RunAsync(db => db.Database.ExecuteSqlRawAsync("""INSERT INTO "__EFMigrationsHistory" VALUES ('99991231235959_Later', '99.0.0')""", Stop), Stop);
        e = await Assert.ThrowsAsync<StorageException>(() => hone.Store.RequireVersionAsync(Stop));
        Assert.Equal(StorageProblem.Newer, e.Problem);
    }
}
