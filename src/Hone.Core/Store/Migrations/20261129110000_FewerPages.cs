using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Hone.Core.Store.Migrations
{
    /// <summary>A creation writes fewer pages: the queue's index has those alone that something is to be done with, and events lie in the order of their key, in one tree instead of two.
    /// No entity knows that a table has no row ids, and a later migration that makes this one anew must say so again.</summary>
    [DbContext(typeof(HoneDbContext))]
    [Migration("20261129110000_FewerPages")]
    public sealed class FewerPages : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.Sql("""
                DROP INDEX "IX_finetunes_state_priority_created_at";
                CREATE INDEX "IX_finetunes_state_priority_created_at" ON finetunes (state, priority, created_at)
                    WHERE state = 'validating' OR state = 'queued' OR state = 'running';
                """);
            migrationBuilder.Sql(Events("WITHOUT ROWID"));
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.Sql("""
                DROP INDEX "IX_finetunes_state_priority_created_at";
                CREATE INDEX "IX_finetunes_state_priority_created_at" ON finetunes (state, priority, created_at);
                """);
            migrationBuilder.Sql(Events(""));
        }

        private static string Events(string rows) => $"""
            CREATE TABLE events_anew (
                finetune_id TEXT NOT NULL,
                sequence INTEGER NOT NULL,
                created_at INTEGER NOT NULL,
                level TEXT NOT NULL,
                type TEXT NOT NULL,
                message TEXT NOT NULL,
                data_json TEXT NULL,
                CONSTRAINT "PK_finetune_events" PRIMARY KEY (finetune_id, sequence),
                CONSTRAINT ck_finetune_events_level CHECK (level IN ('info', 'warn', 'error')),
                CONSTRAINT ck_finetune_events_sequence CHECK (sequence > 0),
                CONSTRAINT ck_finetune_events_type CHECK (type IN ('message', 'metrics')),
                CONSTRAINT "FK_finetune_events_finetunes_finetune_id" FOREIGN KEY (finetune_id) REFERENCES finetunes (id) ON DELETE CASCADE
            ) {rows};
            INSERT INTO events_anew SELECT finetune_id, sequence, created_at, level, type, message, data_json FROM finetune_events ORDER BY finetune_id, sequence;
            DROP TABLE finetune_events;
            ALTER TABLE events_anew RENAME TO finetune_events;
            """;
    }
}
