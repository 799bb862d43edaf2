using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;

namespace Hone.Formats.Files;

/// <summary>A file's bytes in memory without reading them: every access is checked against the length that the file has when it is opened.</summary>
internal sealed unsafe class MappedFile : IDisposable
{
    private readonly SafeMemoryMappedViewHandle? _view;

    private MappedFile(string path, long length, SafeMemoryMappedViewHandle? view)
    {
        Path = path;
        Length = length;
        _view = view;
    }

    public string Path { get; }
    public long Length { get; }

    public static MappedFile Open(string path)
    {
        var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0);
        try
        {
            long length = stream.Length;
            if (length == 0) // the system maps no empty file
            {
                stream.Dispose();
                return new MappedFile(path, 0, null);
            }
            using MemoryMappedFile map = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
            using MemoryMappedViewAccessor accessor = map.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
            SafeMemoryMappedViewHandle view = accessor.SafeMemoryMappedViewHandle;
            bool kept = false;
            view.DangerousAddRef(ref kept); // outlives the accessor; Dispose releases it
            return new MappedFile(path, length, view);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    /// <summary>Bytes that stay valid until the file is disposed.</summary>
    public ReadOnlySpan<byte> Slice(long offset, int length)
    {
        CheckRange(offset, length);
        return length == 0 ? [] : new ReadOnlySpan<byte>((byte*)_view!.DangerousGetHandle() + offset, length);
    }

    /// <summary>Where bytes lie that stay valid until the file is disposed.</summary>
    public byte* Address(long offset, long length)
    {
        CheckRange(offset, length);
        return (byte*)_view!.DangerousGetHandle() + offset;
    }

    /// <summary>Keeps the bytes mapped until the pin is disposed, even where another thread disposes the file meanwhile.</summary>
    public Pin PinRange(long offset, long length)
    {
        CheckRange(offset, length);
        if (_view is null)
            return default;
        bool added = false;
        _view.DangerousAddRef(ref added);
        return new Pin(_view, (byte*)_view.DangerousGetHandle() + offset);
    }

    private int _disposed;

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
            _view?.DangerousRelease();
    }

    private void CheckRange(long offset, long length)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        if (offset < 0 || length < 0 || offset > Length - length)
            throw new InvalidFileException($"{Path}: {length} bytes at byte {offset} are wanted of a file of {Length} bytes. The file is cut or lies about its layout; fetch it again.");
    }

    public readonly ref struct Pin(SafeMemoryMappedViewHandle? view, byte* pointer)
    {
        public byte* Pointer => pointer;

        public void Dispose() => view?.DangerousRelease();
    }
}
