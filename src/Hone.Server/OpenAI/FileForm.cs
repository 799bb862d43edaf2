using System.Text;
using Hone.Core.Blobs;
using Hone.Core.Files;
using Hone.Formats;
using Hone.Server.Cloudflare;
using Hone.Server.Requests;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Net.Http.Headers;

namespace Hone.Server.OpenAI;

/// <summary>A form with one file and text fields in any order. The file flows to whoever takes it; the fields may come after it.</summary>
internal sealed record FileForm(IReadOnlyDictionary<string, string> Fields, string? FileName)
{
    private const int MaxParts = 16;
    private const int MaxText = 4096;

    /// <summary>Reads the form to its end; what <paramref name="take"/> answered comes beside it, and is disposed where the form turns out to be broken.</summary>
    /// <param name="part">Name of the file's part.</param>
    /// <param name="limit">Of the whole form, in bytes.</param>
    /// <param name="take">Reads the file to its end. Null where the form has no file.</param>
    public static async Task<(FileForm Form, T? File)> ReadAsync<T>(HttpRequest request, string part, long limit, Func<Stream, Task<T>> take, CancellationToken cancellationToken)
        where T : class
    {
        var reader = new MultipartReader(MultipartUpload.Boundary(request), UploadStream.Open(request, limit), 1 << 16) { HeadersCountLimit = 16, HeadersLengthLimit = 16384 };
        var fields = new Dictionary<string, string>(StringComparer.Ordinal);
        string? fileName = null;
        T? file = null;
        try
        {
            for (int count = 0; await MultipartUpload.NextAsync(reader, cancellationToken) is { } section; count++)
            {
                if (count == MaxParts)
                    throw MultipartUpload.Refuse($"the form has more than {MaxParts} parts");
                if (!ContentDispositionHeaderValue.TryParse(section.ContentDisposition, out var disposition))
                    throw MultipartUpload.Refuse("a part has no readable Content-Disposition header");
                string name = HeaderUtilities.RemoveQuotes(disposition.Name).ToString();
                if (name != part)
                {
                    fields[name] = await TextAsync(name, section.Body, cancellationToken);
                    continue;
                }
                if (file is not null)
                    throw MultipartUpload.Refuse($"the form has '{part}' twice");
                fileName = NameOf(disposition);
                file = await MultipartUpload.Guard(() => take(section.Body));
            }
            return (new FileForm(fields, fileName), file);
        }
        catch
        {
            if (file is FileResult<StagedBlob> { Value: { } staged })
                await staged.DisposeAsync();
            throw;
        }
    }

    private static string NameOf(ContentDispositionHeaderValue disposition)
    {
        var name = disposition.FileNameStar.HasValue ? disposition.FileNameStar : HeaderUtilities.RemoveQuotes(disposition.FileName);
        return WithoutFolders(name.ToString());
    }

    /// <summary>Some clients send a path, by which a download must not be named.</summary>
    public static string WithoutFolders(string fileName) => fileName[(fileName.LastIndexOfAny(['/', '\\']) + 1)..];

    private static async Task<string> TextAsync(string name, Stream part, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[MaxText + 1];
        int length = await MultipartUpload.Guard(() => part.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken).AsTask());
        return length <= MaxText ? Encoding.UTF8.GetString(buffer, 0, length)
            : throw new ApiErrorException(new ApiError(400, ApiErrors.InvalidUpload, $"Invalid upload: the part '{name.Shown(60)}' is longer than {MaxText} bytes"));
    }
}
