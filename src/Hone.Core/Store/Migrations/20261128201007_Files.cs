using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Hone.Core.Store.Migrations
{
    /// <inheritdoc />
    public partial class Files : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<bool>(
                name: "is_job",
                table: "finetunes",
                type: "INTEGER",
                nullable: false,
                defaultValue: false);

            migrationBuilder.AddColumn<string>(
                name: "metadata_json",
                table: "finetunes",
                type: "TEXT",
                nullable: true);

            migrationBuilder.AddColumn<bool>(
                name: "pause_requested",
                table: "finetunes",
                type: "INTEGER",
                nullable: false,
                defaultValue: false);

            migrationBuilder.AddColumn<string>(
                name: "suffix",
                table: "finetunes",
                type: "TEXT",
                nullable: true);

            migrationBuilder.AddColumn<string>(
                name: "training_file_id",
                table: "finetunes",
                type: "TEXT",
                nullable: true);

            migrationBuilder.AddColumn<string>(
                name: "validation_file_id",
                table: "finetunes",
                type: "TEXT",
                nullable: true);

            migrationBuilder.CreateTable(
                name: "file_uploads",
                columns: table => new
                {
                    id = table.Column<string>(type: "TEXT", nullable: false),
                    account_id = table.Column<string>(type: "TEXT", nullable: false),
                    file_name = table.Column<string>(type: "TEXT", nullable: false),
                    purpose = table.Column<string>(type: "TEXT", nullable: false),
                    size = table.Column<long>(type: "INTEGER", nullable: false),
                    status = table.Column<string>(type: "TEXT", nullable: false),
                    created_at = table.Column<long>(type: "INTEGER", nullable: false),
                    expires_at = table.Column<long>(type: "INTEGER", nullable: false),
                    file_id = table.Column<string>(type: "TEXT", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_file_uploads", x => x.id);
                    table.CheckConstraint("ck_file_uploads_status", "status IN ('pending', 'completed', 'cancelled', 'expired')");
                    table.ForeignKey(
                        name: "FK_file_uploads_accounts_account_id",
                        column: x => x.account_id,
                        principalTable: "accounts",
                        principalColumn: "id",
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateTable(
                name: "files",
                columns: table => new
                {
                    id = table.Column<string>(type: "TEXT", nullable: false),
                    account_id = table.Column<string>(type: "TEXT", nullable: false),
                    finetune_id = table.Column<string>(type: "TEXT", nullable: true),
                    file_name = table.Column<string>(type: "TEXT", nullable: false),
                    purpose = table.Column<string>(type: "TEXT", nullable: false),
                    sha256 = table.Column<string>(type: "TEXT", nullable: false),
                    size = table.Column<long>(type: "INTEGER", nullable: false),
                    created_at = table.Column<long>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_files", x => x.id);
                    table.CheckConstraint("ck_files_purpose", "purpose IN ('fine-tune', 'fine-tune-results')");
                    table.CheckConstraint("ck_files_sha256", "length(sha256) = 64 AND size >= 0");
                    table.ForeignKey(
                        name: "FK_files_accounts_account_id",
                        column: x => x.account_id,
                        principalTable: "accounts",
                        principalColumn: "id",
                        onDelete: ReferentialAction.Cascade);
                    table.ForeignKey(
                        name: "FK_files_finetunes_finetune_id",
                        column: x => x.finetune_id,
                        principalTable: "finetunes",
                        principalColumn: "id",
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateTable(
                name: "finetune_checkpoints",
                columns: table => new
                {
                    finetune_id = table.Column<string>(type: "TEXT", nullable: false),
                    step = table.Column<int>(type: "INTEGER", nullable: false),
                    config_sha256 = table.Column<string>(type: "TEXT", nullable: false),
                    weights_sha256 = table.Column<string>(type: "TEXT", nullable: false),
                    metrics_json = table.Column<string>(type: "TEXT", nullable: false),
                    created_at = table.Column<long>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_finetune_checkpoints", x => new { x.finetune_id, x.step });
                    table.CheckConstraint("ck_finetune_checkpoints_step", "step > 0 AND length(config_sha256) = 64 AND length(weights_sha256) = 64");
                    table.ForeignKey(
                        name: "FK_finetune_checkpoints_finetunes_finetune_id",
                        column: x => x.finetune_id,
                        principalTable: "finetunes",
                        principalColumn: "id",
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateTable(
                name: "file_upload_parts",
                columns: table => new
                {
                    id = table.Column<string>(type: "TEXT", nullable: false),
                    upload_id = table.Column<string>(type: "TEXT", nullable: false),
                    sha256 = table.Column<string>(type: "TEXT", nullable: false),
                    size = table.Column<long>(type: "INTEGER", nullable: false),
                    created_at = table.Column<long>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_file_upload_parts", x => x.id);
                    table.CheckConstraint("ck_file_upload_parts_sha256", "length(sha256) = 64 AND size >= 0");
                    table.ForeignKey(
                        name: "FK_file_upload_parts_file_uploads_upload_id",
                        column: x => x.upload_id,
                        principalTable: "file_uploads",
                        principalColumn: "id",
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateIndex(
                name: "IX_file_upload_parts_sha256",
                table: "file_upload_parts",
                column: "sha256");

            migrationBuilder.CreateIndex(
                name: "IX_file_upload_parts_upload_id",
                table: "file_upload_parts",
                column: "upload_id");

            migrationBuilder.CreateIndex(
                name: "IX_file_uploads_account_id",
                table: "file_uploads",
                column: "account_id");

            migrationBuilder.CreateIndex(
                name: "IX_files_account_id_created_at",
                table: "files",
                columns: new[] { "account_id", "created_at" });

            migrationBuilder.CreateIndex(
                name: "IX_files_finetune_id",
                table: "files",
                column: "finetune_id");

            migrationBuilder.CreateIndex(
                name: "IX_files_sha256",
                table: "files",
                column: "sha256");

            migrationBuilder.CreateIndex(
                name: "IX_finetune_checkpoints_config_sha256",
                table: "finetune_checkpoints",
                column: "config_sha256");

            migrationBuilder.CreateIndex(
                name: "IX_finetune_checkpoints_weights_sha256",
                table: "finetune_checkpoints",
                column: "weights_sha256");

            // What finetunes have learnt from so far are files as well.
            migrationBuilder.Sql("""
                INSERT INTO files (id, account_id, finetune_id, file_name, purpose, sha256, size, created_at)
                SELECT 'file-' || lower(hex(randomblob(16))), f.account_id, f.id, a.file_name, 'fine-tune', a.sha256, a.size, a.created_at
                FROM finetune_assets a JOIN finetunes f ON f.id = a.finetune_id WHERE a.file_name IN ('training_data.jsonl', 'validation_data.jsonl');
                """);
            migrationBuilder.Sql("""
                UPDATE finetunes SET training_file_id = (SELECT id FROM files WHERE finetune_id = finetunes.id AND file_name = 'training_data.jsonl'),
                    validation_file_id = (SELECT id FROM files WHERE finetune_id = finetunes.id AND file_name = 'validation_data.jsonl');
                """);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "file_upload_parts");

            migrationBuilder.DropTable(
                name: "files");

            migrationBuilder.DropTable(
                name: "finetune_checkpoints");

            migrationBuilder.DropTable(
                name: "file_uploads");

            migrationBuilder.DropColumn(
                name: "is_job",
                table: "finetunes");

            migrationBuilder.DropColumn(
                name: "metadata_json",
                table: "finetunes");

            migrationBuilder.DropColumn(
                name: "pause_requested",
                table: "finetunes");

            migrationBuilder.DropColumn(
                name: "suffix",
                table: "finetunes");

            migrationBuilder.DropColumn(
                name: "training_file_id",
                table: "finetunes");

            migrationBuilder.DropColumn(
                name: "validation_file_id",
                table: "finetunes");
        }
    }
}
