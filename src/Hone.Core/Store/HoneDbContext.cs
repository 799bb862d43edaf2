using System.Globalization;
using System.Text;
using Hone.Core.Accounts;
using Hone.Core.Files;
using Hone.Core.Finetunes;
using Hone.Core.Models;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata;
using Microsoft.EntityFrameworkCore.Storage.ValueConversion;

namespace Hone.Core.Store;

/// <summary>The tables. Times are milliseconds since 1970, ids and states are text.</summary>
public sealed class HoneDbContext(DbContextOptions<HoneDbContext> options) : DbContext(options)
{
    public DbSet<Account> Accounts => Set<Account>();
    public DbSet<ApiToken> ApiTokens => Set<ApiToken>();
    public DbSet<ModelEntry> Models => Set<ModelEntry>();
    public DbSet<Finetune> Finetunes => Set<Finetune>();
    public DbSet<FinetuneAsset> FinetuneAssets => Set<FinetuneAsset>();
    public DbSet<FinetuneEvent> FinetuneEvents => Set<FinetuneEvent>();
    public DbSet<FinetuneCheckpoint> FinetuneCheckpoints => Set<FinetuneCheckpoint>();
    public DbSet<StoredFile> Files => Set<StoredFile>();
    public DbSet<FileUpload> FileUploads => Set<FileUpload>();
    public DbSet<FileUploadPart> FileUploadParts => Set<FileUploadPart>();

    protected override void ConfigureConventions(ModelConfigurationBuilder configurationBuilder)
    {
        configurationBuilder.Properties<DateTimeOffset>().HaveConversion<TimeConverter>();
        configurationBuilder.Properties<Guid>().HaveConversion<IdConverter>();
        configurationBuilder.Properties<FinetuneState>().HaveConversion<StateConverter>();
        configurationBuilder.Properties<TokenPermission>().HaveConversion<PermissionConverter>();
    }

    protected override void OnModelCreating(ModelBuilder modelBuilder)
    {
        modelBuilder.Entity<Account>(table =>
        {
            table.HasIndex(a => a.KeyHash).IsUnique();
        });
        modelBuilder.Entity<ApiToken>(table =>
        {
            table.HasOne<Account>().WithMany().HasForeignKey(t => t.AccountId).OnDelete(DeleteBehavior.Cascade);
            table.HasIndex(t => t.Hash).IsUnique();
            table.ToTable(t => t.HasCheckConstraint("ck_api_tokens_permission", "permission IN ('read', 'write')"));
        });
        modelBuilder.Entity<Finetune>(table =>
        {
            table.HasOne<Account>().WithMany().HasForeignKey(f => f.AccountId).OnDelete(DeleteBehavior.Cascade);
            table.HasIndex(f => new { f.AccountId, f.Name }).IsUnique();
            // Those alone that something is to be done with. SQLite takes it where a query asks for one of these states by its name.
            table.HasIndex(f => new { f.State, f.Priority, f.CreatedAt })
                .HasFilter(string.Join(" OR ", new[] { FinetuneState.Validating, FinetuneState.Queued, FinetuneState.Running }.Select(s => $"state = '{s.Name()}'")));
            string states = List(FinetuneStates.All), final = List(FinetuneStates.All.Where(s => s.IsFinal()));
            table.ToTable(t =>
            {
                t.HasCheckConstraint("ck_finetunes_state", $"state IN ({states})");
                t.HasCheckConstraint("ck_finetunes_finalized_at", $"(finalized_at IS NOT NULL) = (state IN ({final}))");
                t.HasCheckConstraint("ck_finetunes_lease", $"(lease_until IS NOT NULL) = (state = '{FinetuneState.Running.Name()}')");
                t.HasCheckConstraint("ck_finetunes_error", $"(error_code IS NOT NULL) = (state = '{FinetuneState.Failed.Name()}')");
                t.HasCheckConstraint("ck_finetunes_fence", "fence >= 0 AND attempts >= 0");
            });
        });
        modelBuilder.Entity<FinetuneAsset>(table =>
        {
            table.HasKey(a => new { a.FinetuneId, a.FileName });
            table.HasOne<Finetune>().WithMany().HasForeignKey(a => a.FinetuneId).OnDelete(DeleteBehavior.Cascade);
            table.HasIndex(a => a.Sha256);
            table.ToTable(t => t.HasCheckConstraint("ck_finetune_assets_sha256", "length(sha256) = 64 AND size >= 0"));
        });
        modelBuilder.Entity<FinetuneEvent>(table =>
        {
            table.HasKey(e => new { e.FinetuneId, e.Sequence });
            table.HasOne<Finetune>().WithMany().HasForeignKey(e => e.FinetuneId).OnDelete(DeleteBehavior.Cascade);
            table.ToTable(t =>
            {
                t.HasCheckConstraint("ck_finetune_events_sequence", "sequence > 0");
                t.HasCheckConstraint("ck_finetune_events_level", "level IN ('info', 'warn', 'error')");
                t.HasCheckConstraint("ck_finetune_events_type", "type IN ('message', 'metrics')");
            });
        });
        modelBuilder.Entity<FinetuneCheckpoint>(table =>
        {
            table.HasKey(c => new { c.FinetuneId, c.Step });
            table.HasOne<Finetune>().WithMany().HasForeignKey(c => c.FinetuneId).OnDelete(DeleteBehavior.Cascade);
            table.HasIndex(c => c.ConfigSha256);
            table.HasIndex(c => c.WeightsSha256);
            table.ToTable(t => t.HasCheckConstraint("ck_finetune_checkpoints_step", "step > 0 AND length(config_sha256) = 64 AND length(weights_sha256) = 64"));
        });
        modelBuilder.Entity<StoredFile>(table =>
        {
            table.HasOne<Account>().WithMany().HasForeignKey(f => f.AccountId).OnDelete(DeleteBehavior.Cascade);
            table.HasOne<Finetune>().WithMany().HasForeignKey(f => f.FinetuneId).OnDelete(DeleteBehavior.Cascade);
            table.HasIndex(f => new { f.AccountId, f.CreatedAt });
            table.HasIndex(f => f.Sha256);
            table.ToTable("files", t =>
            {
                t.HasCheckConstraint("ck_files_purpose", $"purpose IN ('{StoredFile.FineTune}', '{StoredFile.FineTuneResults}')");
                t.HasCheckConstraint("ck_files_sha256", "length(sha256) = 64 AND size >= 0");
            });
        });
        modelBuilder.Entity<FileUpload>(table =>
        {
            table.HasOne<Account>().WithMany().HasForeignKey(u => u.AccountId).OnDelete(DeleteBehavior.Cascade);
            table.ToTable(t => t.HasCheckConstraint("ck_file_uploads_status",
                $"status IN ('{FileUpload.Pending}', '{FileUpload.Completed}', '{FileUpload.Cancelled}', '{FileUpload.Expired}')"));
        });
        modelBuilder.Entity<FileUploadPart>(table =>
        {
            table.HasOne<FileUpload>().WithMany().HasForeignKey(p => p.UploadId).OnDelete(DeleteBehavior.Cascade);
            table.HasIndex(p => p.Sha256);
            table.ToTable(t => t.HasCheckConstraint("ck_file_upload_parts_sha256", "length(sha256) = 64 AND size >= 0"));
        });
        foreach (IMutableEntityType table in modelBuilder.Model.GetEntityTypes())
        {
            table.SetTableName(SnakeCase(table.GetTableName()!));
            foreach (IMutableProperty column in table.GetProperties())
                column.SetColumnName(SnakeCase(column.Name));
        }
    }

    private static string List(IEnumerable<FinetuneState> states) => string.Join(", ", states.Select(s => $"'{s.Name()}'"));

    private static string SnakeCase(string name)
    {
        var text = new StringBuilder();
        foreach (char c in name)
        {
            if (char.IsUpper(c) && text.Length > 0)
                text.Append('_');
            text.Append(char.ToLower(c, CultureInfo.InvariantCulture));
        }
        return text.ToString();
    }

    private sealed class TimeConverter() : ValueConverter<DateTimeOffset, long>(t => t.ToUnixTimeMilliseconds(), t => DateTimeOffset.FromUnixTimeMilliseconds(t));

    private sealed class IdConverter() : ValueConverter<Guid, string>(id => id.ToString("D"), text => Guid.Parse(text));

    private sealed class StateConverter() : ValueConverter<FinetuneState, string>(s => s.Name(), text => FinetuneStates.Parse(text));

    private sealed class PermissionConverter() : ValueConverter<TokenPermission, string>(
        p => p == TokenPermission.Write ? "write" : "read", text => text == "write" ? TokenPermission.Write : TokenPermission.Read);
}
