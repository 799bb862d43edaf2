using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Hone.Core.Store.Migrations
{
    /// <inheritdoc />
    public partial class WorkersLost : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<int>(
                name: "workers_lost",
                table: "finetunes",
                type: "INTEGER",
                nullable: false,
                defaultValue: 0);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropColumn(
                name: "workers_lost",
                table: "finetunes");
        }
    }
}
