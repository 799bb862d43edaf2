using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Hone.Core.Accounts;
using Hone.Terminals;

namespace Hone.Commands.Admin;

internal sealed class TokensCreateCommand : CliCommand
{
    private readonly Argument<string> _name = new("name") { Description = "What the token is for.", HelpName = "NAME" };
    private readonly Option<bool> _readOnly = new("--read-only") { Description = "Permission Workers AI Read; otherwise Workers AI Write, which includes it." };
    private readonly Option<string?> _expires = new("--expires") { Description = "After this time: 12h, 30d. Default: never.", HelpName = "TIME" };
    private readonly Option<string?> _account = AdminGroups.Account();
    private readonly Option<string?> _data = AdminGroups.Data();
    private readonly Option<bool> _json = AdminGroups.Json();

    public TokensCreateCommand() : base("create", "Makes a token, in the data folder itself. It is shown once; only its hash is kept.",
        "hone tokens create laptop", "export HONE_TOKEN=$(hone tokens create ci --read-only --expires 30d --json | jq -r .token)")
    {
        Arguments.Add(_name);
        foreach (Option option in new Option[] { _readOnly, _expires, _account, _data, _json })
            Options.Add(option);
    }

    public override IEnumerable<string> UsageErrors(ParseResult parse)
    {
        if (parse.GetValue(_name) is { } name && (string.IsNullOrWhiteSpace(name) || name.Any(char.IsControl)))
            yield return "The token's name has printable characters.";
        if (parse.GetValue(_expires) is { } text && Time(text) is null)
            yield return $"--expires {text}: a time is a number and m, h or d, such as 30d.";
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        TimeProvider clock = TimeProvider.System;
        await using LocalStore store = await LocalStore.OpenAsync(parse.GetValue(_data), create: false, cancellationToken);
        Account account = await store.AccountAsync(parse.GetValue(_account), cancellationToken);
        DateTimeOffset? expires = parse.GetValue(_expires) is { } text ? clock.GetUtcNow() + Time(text) : null;
        NewToken made = await store.Get<AccountService>().CreateTokenAsync(
            account.Id, parse.GetRequiredValue(_name), parse.GetValue(_readOnly) ? TokenPermission.Read : TokenPermission.Write, expires, cancellationToken)
            ?? throw new CliException($"The account {account.Id} is gone.");
        if (parse.GetValue(_json))
        {
            terminal.Line(JsonSerializer.Serialize(TokenRow.Of(made.Token, clock.GetUtcNow(), made.Secret), AdminJson.Readable.TokenRow));
            return 0;
        }
        terminal.Facts([["token", made.Secret], ["id", made.Token.Id], ["account", account.Id], ["permission", made.Token.Permission == TokenPermission.Write ? "write" : "read"]]);
        terminal.Note("The token is not shown again.");
        return 0;
    }

    private static TimeSpan? Time(string text)
        => text.Length > 1 && int.TryParse(text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number > 0
            ? text[^1] switch { 'm' => TimeSpan.FromMinutes(number), 'h' => TimeSpan.FromHours(number), 'd' when number <= 36_500 => TimeSpan.FromDays(number), _ => null }
            : null;
}
