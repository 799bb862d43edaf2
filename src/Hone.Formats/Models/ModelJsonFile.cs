using System.Text.Json;
using Hone.Formats.Files;

namespace Hone.Formats.Models;

/// <summary>A JSON object in a model's folder.</summary>
internal static class ModelJsonFile
{
    /// <exception cref="InvalidFileException">It is too long, no JSON, or no object.</exception>
    public static JsonDocument Parse(string path, int maxBytes)
    {
        FileInfo file = LinkedFile.Info(path);
        if (file.Length > maxBytes)
            throw new InvalidFileException($"{path}: it has {file.Length} bytes; at most {maxBytes} are accepted. Get the file anew.");
        byte[] json = File.ReadAllBytes(path);
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 64, AllowDuplicateProperties = false });
            if (JsonText.FirstInvalid(json) is >= 0 and var at)
                throw new InvalidFileException($"{path}: the string at byte {at} is not valid Unicode. Get the file anew.");
        }
        catch (JsonException e)
        {
            throw new InvalidFileException($"{path}: it is no valid JSON: {JsonSyntax.Explain(json, e)} Get the file anew.", e);
        }
        catch (InvalidOperationException e) // a name with invalid UTF-8 or half a surrogate pair
        {
            throw new InvalidFileException($"{path}: it has a string that is not valid Unicode. Get the file anew.", e);
        }
        if (document.RootElement.ValueKind == JsonValueKind.Object)
            return document;
        document.Dispose();
        throw new InvalidFileException($"{path}: it is no JSON object. Get the file anew.");
    }
}
