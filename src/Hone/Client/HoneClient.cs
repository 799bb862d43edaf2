using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Hone.Client;

/// <summary>
/// The public HTTP API, typed. What can be repeated without doing something twice (reads, uploads of the same bytes) is tried again when the connection
/// breaks or the server is busy; creating, cancelling, deleting and running are not.
/// </summary>
internal sealed partial class HoneClient(Connection connection, TimeProvider? clock = null) : IDisposable
{
    private const int Tries = 4;
    private static readonly TimeSpan _firstWait = TimeSpan.FromMilliseconds(250), _longestWait = TimeSpan.FromSeconds(10);

    private readonly TimeProvider _clock = clock ?? TimeProvider.System;
    private readonly HttpClient _http = new(new SocketsHttpHandler
    {
        // A proxy of the environment is for the network, not for this machine.
        UseProxy = !connection.Url.IsLoopback,
        ConnectTimeout = TimeSpan.FromSeconds(10),
        PooledConnectionLifetime = TimeSpan.FromMinutes(2),
    })
    { Timeout = TimeSpan.FromMinutes(10) };
    private string? _account = connection.AccountId;

    public Uri Url => connection.Url;

    public async Task<Finetune> CreateFinetuneAsync(CreateFinetune create, CancellationToken cancellationToken)
        => await AccountAsync(HttpMethod.Post, "ai/finetunes", Json(create, HoneJson.Default.CreateFinetune), HoneJson.Default.Finetune, cancellationToken);

    public Task<Finetune[]> ListFinetunesAsync(CancellationToken cancellationToken) => ListFinetunesAsync(HoneJson.Default.FinetuneArray, cancellationToken);

    /// <param name="type">A <see cref="JsonElement"/> is the answer as the server gave it.</param>
    public async Task<T[]> ListFinetunesAsync<T>(JsonTypeInfo<T[]> type, CancellationToken cancellationToken)
        => await AccountAsync(HttpMethod.Get, "ai/finetunes", null, type, cancellationToken);

    public Task<Finetune> GetFinetuneAsync(string idOrName, CancellationToken cancellationToken) => GetFinetuneAsync(idOrName, HoneJson.Default.Finetune, cancellationToken);

    /// <param name="type">A <see cref="JsonElement"/> is the answer as the server gave it.</param>
    public async Task<T> GetFinetuneAsync<T>(string idOrName, JsonTypeInfo<T> type, CancellationToken cancellationToken)
        => await AccountAsync(HttpMethod.Get, Of(idOrName), null, type, cancellationToken);

    public async Task<JsonElement> CancelFinetuneAsync(string idOrName, CancellationToken cancellationToken)
        => await AccountAsync(HttpMethod.Post, Of(idOrName) + "/cancel", null, HoneJson.Default.JsonElement, cancellationToken);

    public async Task<JsonElement> PauseFinetuneAsync(string idOrName, CancellationToken cancellationToken)
        => await AccountAsync(HttpMethod.Post, Of(idOrName) + "/pause", null, HoneJson.Default.JsonElement, cancellationToken);

    public async Task<JsonElement> ResumeFinetuneAsync(string idOrName, CancellationToken cancellationToken)
        => await AccountAsync(HttpMethod.Post, Of(idOrName) + "/resume", null, HoneJson.Default.JsonElement, cancellationToken);

    public async Task<JsonElement> DeleteFinetuneAsync(string idOrName, CancellationToken cancellationToken)
        => await AccountAsync(HttpMethod.Delete, Of(idOrName), null, HoneJson.Default.JsonElement, cancellationToken);

    public async Task<FinetuneAsset[]> ListAssetsAsync(string idOrName, CancellationToken cancellationToken)
        => await AccountAsync(HttpMethod.Get, Of(idOrName) + "/finetune-assets", null, HoneJson.Default.FinetuneAssetArray, cancellationToken);

    /// <param name="type">A <see cref="JsonElement"/> is a model as the server gave it.</param>
    public async Task<T[]> ListModelsAsync<T>(JsonTypeInfo<T[]> type, CancellationToken cancellationToken)
    {
        var models = new List<T>();
        for (int page = 1; ; page++)
        {
            T[] found = await AccountAsync(HttpMethod.Get, $"ai/models/search?per_page=100&page={page}", null, type, cancellationToken);
            if (found.Length == 0)
                return [.. models];
            models.AddRange(found);
        }
    }

    public Task<JsonElement> UploadAssetAsync(string idOrName, string fileName, string path, CancellationToken cancellationToken)
        => UploadAssetAsync(idOrName, fileName, () => new StreamContent(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, useAsync: true), 1 << 16), cancellationToken);

    public Task<JsonElement> UploadAssetAsync(string idOrName, string fileName, byte[] bytes, CancellationToken cancellationToken)
        => UploadAssetAsync(idOrName, fileName, () => new ByteArrayContent(bytes), cancellationToken);

    /// <summary>The same bytes uploaded again are accepted, so a broken upload is simply repeated.</summary>
    private async Task<JsonElement> UploadAssetAsync(string idOrName, string fileName, Func<HttpContent> content, CancellationToken cancellationToken)
        => await AccountAsync(HttpMethod.Post, Of(idOrName) + "/finetune-assets", () =>
        {
            HttpContent file = content();
            file.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
            return new MultipartFormDataContent { { new StringContent(fileName), "file_name" }, { file, "file", fileName } };
        }, HoneJson.Default.JsonElement, cancellationToken, repeatable: true);

    /// <summary>Writes an asset to a file that appears whole or not at all.</summary>
    public async Task DownloadAssetAsync(string idOrName, FinetuneAsset asset, string path, CancellationToken cancellationToken)
    {
        string address = await AddressAsync($"{Of(idOrName)}/finetune-assets/{Uri.EscapeDataString(asset.FileName)}", cancellationToken);
        using HttpResponseMessage response = await SendAsync(HttpMethod.Get, address, null, repeatable: true, null, cancellationToken);
        using CancellationTokenRegistration abort = cancellationToken.Register(response.Dispose);
        await using Stream content = await response.Content.ReadAsStreamAsync(cancellationToken);
        string sha256 = "";
        Formats.Files.AtomicFile.Write(path, file =>
        {
            using var hash = System.Security.Cryptography.IncrementalHash.CreateHash(System.Security.Cryptography.HashAlgorithmName.SHA256);
            byte[] buffer = new byte[1 << 16];
            for (int read; (read = content.Read(buffer)) > 0;)
            {
                hash.AppendData(buffer, 0, read);
                file.Write(buffer, 0, read);
            }
            sha256 = Convert.ToHexStringLower(hash.GetHashAndReset());
            if (asset.Sha256.Length > 0 && sha256 != asset.Sha256)
                throw new CliException($"{asset.FileName} arrived with SHA-256 {sha256}, the server has {asset.Sha256}.", "download it again.");
        });
    }

    public async Task<RunAnswer> RunAsync(string model, RunRequest request, CancellationToken cancellationToken)
        => await AccountAsync(HttpMethod.Post, RunPath(model), Json(request, HoneJson.Default.RunRequest), HoneJson.Default.RunAnswer, cancellationToken);

    public void Dispose() => _http.Dispose();

    private static string RunPath(string model) => "ai/run/" + string.Join('/', model.Split('/').Select(part => Uri.EscapeDataString(part).Replace("%40", "@", StringComparison.Ordinal)));

    private static string Of(string idOrName) => "ai/finetunes/" + Uri.EscapeDataString(idOrName);

    private static Func<HttpContent> Json<T>(T value, JsonTypeInfo<T> type)
        => () => new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(value, type)) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };

    private async Task<T> AccountAsync<T>(
        HttpMethod method, string path, Func<HttpContent>? content, JsonTypeInfo<T> type, CancellationToken cancellationToken, bool repeatable = false)
        => await CallAsync(method, await AddressAsync(path, cancellationToken), content, type, repeatable || method == HttpMethod.Get, cancellationToken);

    private async Task<string> AddressAsync(string path, CancellationToken cancellationToken)
    {
        if (_account is null)
        {
            AccountSummary[] accounts = await CallAsync(HttpMethod.Get, "accounts", null, HoneJson.Default.AccountSummaryArray, repeatable: true, cancellationToken);
            _account = accounts.Length == 1
                ? accounts[0].Id
                : throw new CliException($"The token belongs to {accounts.Length} accounts.", "name one with --account or HONE_ACCOUNT_ID.");
        }
        return $"accounts/{Uri.EscapeDataString(_account)}/{path}";
    }

    private async Task<T> CallAsync<T>(
        HttpMethod method, string address, Func<HttpContent>? content, JsonTypeInfo<T> type, bool repeatable, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(method, address, content, repeatable, null, cancellationToken);
        Envelope envelope = await ReadEnvelopeAsync(response, cancellationToken);
        try
        {
            return envelope.Result is { } result && JsonSerializer.Deserialize(result, type) is { } value
                ? value
                : throw new CliException($"{connection.Url} answered {method} {address} without a result.");
        }
        catch (JsonException broken)
        {
            throw new CliException($"{connection.Url} answered {method} {address} with something else than expected: {broken.Message}", "is this a Hone server of the same version?", broken);
        }
    }

    /// <returns>A successful answer of which only the headers are read.</returns>
    private async Task<HttpResponseMessage> SendAsync(
        HttpMethod method, string address, Func<HttpContent>? content, bool repeatable, Action<HttpRequestMessage>? prepare, CancellationToken cancellationToken)
    {
        for (int attempt = 1; ; attempt++)
        {
            bool last = !repeatable || attempt == Tries;
            HttpResponseMessage? response = null;
            try
            {
                using var request = new HttpRequestMessage(method, new Uri($"{connection.Url.AbsoluteUri.TrimEnd('/')}/client/v4/{address}")) { Content = content?.Invoke() };
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", connection.Token);
                prepare?.Invoke(request);
                response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
            }
            catch (HttpRequestException) when (!last)
            {
            }
            catch (HttpRequestException unreachable)
            {
                throw Unreachable(unreachable);
            }
            catch (OperationCanceledException late) when (!cancellationToken.IsCancellationRequested)
            {
                throw new CliException($"{connection.Url} did not answer {method} {address} within {_http.Timeout.TotalMinutes:0} minutes.", "the server's log says more.", late);
            }
            if (response is { IsSuccessStatusCode: true })
                return response;
            if (response is not null && (last || !Passing(response.StatusCode)))
            {
                using (response)
                    throw await RefusalAsync(response, cancellationToken);
            }
            TimeSpan wait = response?.Headers.RetryAfter?.Delta ?? _firstWait * Math.Pow(2, attempt - 1);
            response?.Dispose();
            await Task.Delay(wait < _longestWait ? wait : _longestWait, _clock, cancellationToken);
        }
    }

    private static bool Passing(HttpStatusCode status)
        => status is HttpStatusCode.TooManyRequests or HttpStatusCode.RequestTimeout or HttpStatusCode.BadGateway or HttpStatusCode.ServiceUnavailable or HttpStatusCode.GatewayTimeout;

    private CliException Unreachable(Exception cause)
        => new($"Cannot reach {connection.Url}: {(cause.InnerException ?? cause).Message}", "is the server running? `hone serve` starts one; --url names another.", cause);

    private async Task<Exception> RefusalAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        try
        {
            Envelope envelope = await ReadEnvelopeAsync(response, cancellationToken);
            return new ApiException(response.StatusCode, envelope.Errors ?? [], envelope.Result);
        }
        catch (CliException notOurs)
        {
            return notOurs;
        }
    }

    private async Task<Envelope> ReadEnvelopeAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        byte[] body = await response.Content.ReadAsByteArrayAsync(cancellationToken);
        try
        {
            return JsonSerializer.Deserialize(body, HoneJson.Default.Envelope) ?? throw new JsonException("null");
        }
        catch (JsonException broken)
        {
            string start = Encoding.UTF8.GetString(body.AsSpan(0, Math.Min(body.Length, 80))).ReplaceLineEndings(" ");
            throw new CliException($"{connection.Url} answered {(int)response.StatusCode} with something that is not the API's JSON: \"{start}\".", "is this address a Hone server's?", broken);
        }
    }
}
