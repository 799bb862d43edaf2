using System.Net;
using System.Text.Json;

namespace Hone.Server.Tests;

/// <param name="Data">Undefined for <c>[DONE]</c>.</param>
public sealed record ServerEvent(long? Id, string? Name, string Text, JsonElement Data);

/// <summary>Reads <c>text/event-stream</c>.</summary>
public sealed class EventReader(HttpResponseMessage response, StreamReader lines) : IDisposable
{
    public static async Task<EventReader> OpenAsync(RunningServer server, HttpRequestMessage request)
    {
        var response = await server.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead).WaitAsync(RunningServer.Patience);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        return new EventReader(response, new StreamReader(await response.Content.ReadAsStreamAsync()));
    }

    /// <summary>Null at the stream's end.</summary>
    public async Task<ServerEvent?> NextAsync()
    {
        long? id = null;
        string? name = null, data = null;
        while (await lines.ReadLineAsync().WaitAsync(RunningServer.Patience) is { } line)
        {
            if (line.StartsWith("id: ", StringComparison.Ordinal))
                id = long.Parse(line[4..]);
            else if (line.StartsWith("event: ", StringComparison.Ordinal))
                name = line[7..];
            else if (line.StartsWith("data: ", StringComparison.Ordinal))
                data = line[6..];
            else if (line.Length == 0 && data is not null)
                return new ServerEvent(id, name, data, data == "[DONE]" ? default : JsonElement.Parse(data));
        }
        return null;
    }

    public void Dispose()
    {
        lines.Dispose();
        response.Dispose();
    }
}
