using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Hone.Core.Store.Migrations
{
    /// <summary>How many finetunes an account has, kept by triggers: a quota must not cost a count of all rows with each creation; and an index of the public ones. No entity knows of either,
    /// and a later migration that makes the table anew must make both again: <c>FinetuneCount_…</c> would tell.</summary>
    [DbContext(typeof(HoneDbContext))]
    [Migration("20261128203000_FinetuneCount")]
    public sealed class FinetuneCount : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.Sql("""
                ALTER TABLE accounts ADD COLUMN finetunes INTEGER NOT NULL DEFAULT 0;
                UPDATE accounts SET finetunes = (SELECT COUNT(*) FROM finetunes WHERE account_id = accounts.id);
                CREATE TRIGGER tr_finetunes_insert AFTER INSERT ON finetunes BEGIN
                    UPDATE accounts SET finetunes = finetunes + 1 WHERE id = NEW.account_id;
                END;
                CREATE TRIGGER tr_finetunes_delete AFTER DELETE ON finetunes BEGIN
                    UPDATE accounts SET finetunes = finetunes - 1 WHERE id = OLD.account_id;
                END;
                CREATE INDEX ix_finetunes_public ON finetunes (created_at, id) WHERE public;
                """);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.Sql("""
                DROP INDEX ix_finetunes_public;
                DROP TRIGGER tr_finetunes_insert;
                DROP TRIGGER tr_finetunes_delete;
                ALTER TABLE accounts DROP COLUMN finetunes;
                """);
        }
    }
}
