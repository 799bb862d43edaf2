using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

namespace Hone.Server.Tests;

/// <param name="Token">May write.</param>
public sealed record TestAccount(RunningServer Server, string Id, string Token, string ReadToken, string Email, string Key)
{
    public string Root => $"/client/v4/accounts/{Id}";

    /// <summary>With the account's write token unless another is given; paths that start with a slash and two dots are left as they are.</summary>
    public async Task<Reply> SendAsync(HttpMethod method, string path, HttpContent? content = null, string? token = null, Action<HttpRequestHeaders>? headers = null)
    {
        using var request = Request(method, path, content, token);
        headers?.Invoke(request.Headers);
        using var response = await Server.Http.SendAsync(request).WaitAsync(RunningServer.Patience);
        return await Reply.OfAsync(response);
    }

    public HttpRequestMessage Request(HttpMethod method, string path, HttpContent? content = null, string? token = null)
    {
        var uri = new Uri($"{Server.Url.GetLeftPart(UriPartial.Authority)}{(path.StartsWith("/client", StringComparison.Ordinal) || path.StartsWith("/v1", StringComparison.Ordinal) ? path : Root + path)}", new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true });
        return new HttpRequestMessage(method, uri) { Content = content, Headers = { Authorization = new AuthenticationHeaderValue("Bearer", token ?? Token) } };
    }

    public Task<Reply> GetAsync(string path, string? token = null) => SendAsync(HttpMethod.Get, path, null, token);

    public Task<Reply> PostAsync(string path, string body, string contentType = "application/json", string? token = null) =>
        SendAsync(HttpMethod.Post, path, Text(body, contentType), token);

    public static HttpContent Text(string body, string contentType = "application/json") =>
        new ByteArrayContent(Encoding.UTF8.GetBytes(body)) { Headers = { ContentType = MediaTypeHeaderValue.Parse(contentType) } };

    public Task<Reply> CreateAsync(string name, bool isPublic = false) =>
        PostAsync("/ai/finetunes", JsonSerializer.Serialize(new Dictionary<string, object> { ["model"] = RunningServer.Model, ["name"] = name, ["public"] = isPublic }));

    /// <summary>The id of a new finetune.</summary>
    public async Task<string> CreatedAsync(string name, bool isPublic = false) => (await CreateAsync(name, isPublic)).Result.GetProperty("id").GetString()!;

    public Task<Reply> UploadAsync(string idOrName, string fileName, byte[] bytes) =>
        SendAsync(HttpMethod.Post, $"/ai/finetunes/{Uri.EscapeDataString(idOrName)}/finetune-assets", Form(("file_name", null, Encoding.UTF8.GetBytes(fileName)), ("file", "f", bytes)));

    /// <summary>Parts in this order; with a file name they are files.</summary>
    public static MultipartFormDataContent Form(params (string Name, string? FileName, byte[] Bytes)[] parts)
    {
        var form = new MultipartFormDataContent("----hone-test");
        foreach (var (name, fileName, bytes) in parts)
        {
            var part = new ByteArrayContent(bytes);
            string disposition = fileName is null ? $"form-data; name=\"{name}\"" : $"form-data; name=\"{name}\"; filename=\"{fileName}\"";
            part.Headers.TryAddWithoutValidation("Content-Disposition", disposition);
            form.Add(part);
        }
        return form;
    }
}

/// <summary>An answer in the envelope.</summary>
public sealed record Reply(HttpStatusCode Status, JsonElement Body, HttpResponseHeaders Headers, HttpContentHeaders ContentHeaders)
{
    public JsonElement Result => Body.GetProperty("result");

    public bool Success => Body.GetProperty("success").GetBoolean();

    /// <summary><c>code: message</c> of each error.</summary>
    public IReadOnlyList<string> Errors => [.. Body.GetProperty("errors").EnumerateArray().Select(e => $"{e.GetProperty("code").GetInt32()}: {e.GetProperty("message").GetString()}")];

    public static async Task<Reply> OfAsync(HttpResponseMessage response)
    {
        string text = await response.Content.ReadAsStringAsync();
        Assert.True(response.Content.Headers.ContentType?.MediaType == "application/json", $"{response.StatusCode} {text}");
        return new Reply(response.StatusCode, JsonElement.Parse(text), response.Headers, response.Content.Headers);
    }

    /// <summary>Status and the one error's code and text.</summary>
    public Reply MustFail(int status, int code, string messagePart)
    {
        Assert.Equal(status, (int)Status);
        Assert.False(Success);
        Assert.Equal(JsonValueKind.Array, Body.GetProperty("messages").ValueKind);
        string error = Assert.Single(Errors);
        Assert.StartsWith($"{code}: ", error, StringComparison.Ordinal);
        Assert.Contains(messagePart, error, StringComparison.Ordinal);
        return this;
    }

    public Reply MustSucceed()
    {
        Assert.True(Status == HttpStatusCode.OK, $"{Status} {Body}");
        Assert.True(Success);
        Assert.Equal(0, Body.GetProperty("errors").GetArrayLength());
        Assert.Equal(JsonValueKind.Array, Body.GetProperty("messages").ValueKind);
        return this;
    }
}
