using System.CommandLine;
using System.Text.Json;

namespace Hone.Client;

/// <summary>Which server, which account, with which token: options first, then the environment, then the data folder's credentials.</summary>
/// <param name="Url">The server's address without <c>/client/v4</c> and without a slash at the end.</param>
/// <param name="AccountId">Null: the token's only account, asked of the server.</param>
internal sealed record Connection(Uri Url, string? AccountId, string Token)
{
    public static Connection Resolve(string? url, string? account, string? token, string? data)
    {
        url ??= Variable("HONE_URL");
        account ??= Variable("HONE_ACCOUNT_ID");
        token ??= Variable("HONE_TOKEN");
        string file = Path.Combine(DataPath.Resolve(data), Credentials.FileName);
        if (url is null || token is null)
        {
            // The file's token is for the file's server: it goes nowhere else.
            if (ReadCredentials(file) is { } credentials && (url is null || Base(url) == Base(credentials.Url)))
            {
                url ??= credentials.Url;
                if (token is null)
                {
                    token = credentials.Token;
                    account ??= credentials.AccountId;
                }
            }
        }
        if (url is null)
            throw new CliException($"No server is known: no --url, no HONE_URL, and {file} does not exist.", "start one with `hone serve`, or name yours with --url and --token.");
        if (token is null)
            throw new CliException($"No token for {Base(url)} is known: no --token, no HONE_TOKEN, and {file} is not of this server.", "`hone tokens create` on the server's machine makes one.");
        if (!token.All(c => c is > ' ' and <= '~'))
            throw new CliException("The token has characters that no token has: white space, line ends or letters beyond ASCII.", "take it anew from where it was copied; a file may end its lines with \\r\\n.");
        return new Connection(Base(url), account, token);
    }

    private static string? Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;

    private static Uri Base(string url)
    {
        string trimmed = url.TrimEnd('/');
        if (trimmed.EndsWith("/client/v4", StringComparison.Ordinal))
            trimmed = trimmed[..^"/client/v4".Length];
        if (!Uri.TryCreate(trimmed, UriKind.Absolute, out Uri? parsed) || (parsed.Scheme != Uri.UriSchemeHttp && parsed.Scheme != Uri.UriSchemeHttps))
            throw new CliException($"\"{url}\" is not the address of a server.", "an address looks like http://127.0.0.1:4663.");
        return parsed;
    }

    private static Credentials? ReadCredentials(string file)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(file), HoneJson.Default.Credentials) ?? throw new JsonException("it is null.");
        }
        catch (Exception missing) when (missing is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (JsonException broken)
        {
            throw new CliException($"{file} is not a credentials file: {broken.Message}", "restore it; or make another token with `hone tokens create`, and give it with --token.", broken);
        }
    }
}

/// <summary>The options that every client command takes.</summary>
internal sealed class ConnectionOptions
{
    private readonly Option<string?> _url = new("--url") { Description = "Address of the server. Default: HONE_URL, then the data folder's credentials.json.", HelpName = "URL" };
    private readonly Option<string?> _account = new("--account") { Description = "Account id. Default: HONE_ACCOUNT_ID, then credentials.json, then the token's own.", HelpName = "ID" };
    private readonly Option<string?> _token = new("--token") { Description = "API token. Default: HONE_TOKEN, then credentials.json.", HelpName = "TOKEN" };
    private readonly Option<string?> _data = new("--data") { Description = "Data folder whose credentials.json is used. Default: HONE_DATA, then ~/.local/share/hone.", HelpName = "DIR" };

    public ConnectionOptions(Command command)
    {
        command.Options.Add(_url);
        command.Options.Add(_account);
        command.Options.Add(_token);
        command.Options.Add(_data);
    }

    public HoneClient Open(ParseResult parse)
        => new(Connection.Resolve(parse.GetValue(_url), parse.GetValue(_account), parse.GetValue(_token), parse.GetValue(_data)));
}
