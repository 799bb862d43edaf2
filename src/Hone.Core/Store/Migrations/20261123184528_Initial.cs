using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Hone.Core.Store.Migrations
{
    /// <inheritdoc />
    public partial class Initial : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "accounts",
                columns: table => new
                {
                    id = table.Column<string>(type: "TEXT", nullable: false),
                    name = table.Column<string>(type: "TEXT", nullable: false),
                    email = table.Column<string>(type: "TEXT", nullable: false),
                    key_hash = table.Column<byte[]>(type: "BLOB", nullable: false),
                    created_at = table.Column<long>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_accounts", x => x.id);
                });

            migrationBuilder.CreateTable(
                name: "models",
                columns: table => new
                {
                    id = table.Column<string>(type: "TEXT", nullable: false),
                    path = table.Column<string>(type: "TEXT", nullable: false),
                    sha256 = table.Column<string>(type: "TEXT", nullable: true),
                    size = table.Column<long>(type: "INTEGER", nullable: false),
                    modified_at = table.Column<long>(type: "INTEGER", nullable: false),
                    metadata_json = table.Column<string>(type: "TEXT", nullable: false),
                    created_at = table.Column<long>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_models", x => x.id);
                });

            migrationBuilder.CreateTable(
                name: "api_tokens",
                columns: table => new
                {
                    id = table.Column<string>(type: "TEXT", nullable: false),
                    account_id = table.Column<string>(type: "TEXT", nullable: false),
                    name = table.Column<string>(type: "TEXT", nullable: false),
                    permission = table.Column<string>(type: "TEXT", nullable: false),
                    hash = table.Column<byte[]>(type: "BLOB", nullable: false),
                    prefix = table.Column<string>(type: "TEXT", nullable: false),
                    created_at = table.Column<long>(type: "INTEGER", nullable: false),
                    expires_at = table.Column<long>(type: "INTEGER", nullable: true),
                    revoked_at = table.Column<long>(type: "INTEGER", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_api_tokens", x => x.id);
                    table.CheckConstraint("ck_api_tokens_permission", "permission IN ('read', 'write')");
                    table.ForeignKey(
                        name: "FK_api_tokens_accounts_account_id",
                        column: x => x.account_id,
                        principalTable: "accounts",
                        principalColumn: "id",
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateTable(
                name: "finetunes",
                columns: table => new
                {
                    id = table.Column<string>(type: "TEXT", nullable: false),
                    account_id = table.Column<string>(type: "TEXT", nullable: false),
                    name = table.Column<string>(type: "TEXT", nullable: false),
                    model = table.Column<string>(type: "TEXT", nullable: false),
                    description = table.Column<string>(type: "TEXT", nullable: true),
                    @public = table.Column<bool>(name: "public", type: "INTEGER", nullable: false),
                    state = table.Column<string>(type: "TEXT", nullable: false),
                    created_at = table.Column<long>(type: "INTEGER", nullable: false),
                    modified_at = table.Column<long>(type: "INTEGER", nullable: false),
                    finalized_at = table.Column<long>(type: "INTEGER", nullable: true),
                    started_at = table.Column<long>(type: "INTEGER", nullable: true),
                    priority = table.Column<int>(type: "INTEGER", nullable: false),
                    fence = table.Column<long>(type: "INTEGER", nullable: false),
                    attempts = table.Column<int>(type: "INTEGER", nullable: false),
                    lease_until = table.Column<long>(type: "INTEGER", nullable: true),
                    not_before = table.Column<long>(type: "INTEGER", nullable: true),
                    worker = table.Column<string>(type: "TEXT", nullable: true),
                    cancel_requested = table.Column<bool>(type: "INTEGER", nullable: false),
                    checkpoint_blob = table.Column<string>(type: "TEXT", nullable: true),
                    checkpoint_step = table.Column<int>(type: "INTEGER", nullable: true),
                    seed = table.Column<long>(type: "INTEGER", nullable: true),
                    config_json = table.Column<string>(type: "TEXT", nullable: true),
                    metrics_json = table.Column<string>(type: "TEXT", nullable: true),
                    error_code = table.Column<string>(type: "TEXT", nullable: true),
                    error_message = table.Column<string>(type: "TEXT", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_finetunes", x => x.id);
                    table.CheckConstraint("ck_finetunes_error", "(error_code IS NOT NULL) = (state = 'failed')");
                    table.CheckConstraint("ck_finetunes_fence", "fence >= 0 AND attempts >= 0");
                    table.CheckConstraint("ck_finetunes_finalized_at", "(finalized_at IS NOT NULL) = (state IN ('ready', 'failed', 'cancelled'))");
                    table.CheckConstraint("ck_finetunes_lease", "(lease_until IS NOT NULL) = (state = 'running')");
                    table.CheckConstraint("ck_finetunes_state", "state IN ('awaiting_assets', 'validating', 'queued', 'running', 'paused', 'ready', 'failed', 'cancelled')");
                    table.ForeignKey(
                        name: "FK_finetunes_accounts_account_id",
                        column: x => x.account_id,
                        principalTable: "accounts",
                        principalColumn: "id",
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateTable(
                name: "finetune_assets",
                columns: table => new
                {
                    finetune_id = table.Column<string>(type: "TEXT", nullable: false),
                    file_name = table.Column<string>(type: "TEXT", nullable: false),
                    sha256 = table.Column<string>(type: "TEXT", nullable: false),
                    size = table.Column<long>(type: "INTEGER", nullable: false),
                    created_at = table.Column<long>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_finetune_assets", x => new { x.finetune_id, x.file_name });
                    table.CheckConstraint("ck_finetune_assets_sha256", "length(sha256) = 64 AND size >= 0");
                    table.ForeignKey(
                        name: "FK_finetune_assets_finetunes_finetune_id",
                        column: x => x.finetune_id,
                        principalTable: "finetunes",
                        principalColumn: "id",
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateTable(
                name: "finetune_events",
                columns: table => new
                {
                    finetune_id = table.Column<string>(type: "TEXT", nullable: false),
                    sequence = table.Column<long>(type: "INTEGER", nullable: false),
                    created_at = table.Column<long>(type: "INTEGER", nullable: false),
                    level = table.Column<string>(type: "TEXT", nullable: false),
                    type = table.Column<string>(type: "TEXT", nullable: false),
                    message = table.Column<string>(type: "TEXT", nullable: false),
                    data_json = table.Column<string>(type: "TEXT", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_finetune_events", x => new { x.finetune_id, x.sequence });
                    table.CheckConstraint("ck_finetune_events_level", "level IN ('info', 'warn', 'error')");
                    table.CheckConstraint("ck_finetune_events_sequence", "sequence > 0");
                    table.CheckConstraint("ck_finetune_events_type", "type IN ('message', 'metrics')");
                    table.ForeignKey(
                        name: "FK_finetune_events_finetunes_finetune_id",
                        column: x => x.finetune_id,
                        principalTable: "finetunes",
                        principalColumn: "id",
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateIndex(
                name: "IX_accounts_key_hash",
                table: "accounts",
                column: "key_hash",
                unique: true);

            migrationBuilder.CreateIndex(
                name: "IX_api_tokens_account_id",
                table: "api_tokens",
                column: "account_id");

            migrationBuilder.CreateIndex(
                name: "IX_api_tokens_hash",
                table: "api_tokens",
                column: "hash",
                unique: true);

            migrationBuilder.CreateIndex(
                name: "IX_finetune_assets_sha256",
                table: "finetune_assets",
                column: "sha256");

            migrationBuilder.CreateIndex(
                name: "IX_finetunes_account_id_name",
                table: "finetunes",
                columns: new[] { "account_id", "name" },
                unique: true);

            migrationBuilder.CreateIndex(
                name: "IX_finetunes_state_priority_created_at",
                table: "finetunes",
                columns: new[] { "state", "priority", "created_at" });
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "api_tokens");

            migrationBuilder.DropTable(
                name: "finetune_assets");

            migrationBuilder.DropTable(
                name: "finetune_events");

            migrationBuilder.DropTable(
                name: "models");

            migrationBuilder.DropTable(
                name: "finetunes");

            migrationBuilder.DropTable(
                name: "accounts");
        }
    }
}
