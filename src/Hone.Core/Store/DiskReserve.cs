namespace Hone.Core.Store;

/// <summary>Space in the data folder that is given up when the disk is full: to delete something is a write as well.</summary>
public sealed class DiskReserve(DataFolder folder)
{
    /// <summary>Enough for the log of a deletion, with all events of a long job.</summary>
    private const long Size = 8 << 20;

    /// <summary>Takes the space, where there is as much. Only the server that holds the folder does.</summary>
    internal void Fill()
    {
        if (!folder.IsHeld || new FileInfo(folder.ReservePath) is { Exists: true, Length: Size })
            return;
        try
        {
            var how = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, PreallocationSize = Size };
            if (!OperatingSystem.IsWindows())
                how.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            using var file = new FileStream(folder.ReservePath, how);
            file.SetLength(Size);
        }
        catch (IOException)
        {
            File.Delete(folder.ReservePath);
        }
    }

    /// <returns>Whether there was any.</returns>
    internal bool Release()
    {
        bool held = File.Exists(folder.ReservePath);
        File.Delete(folder.ReservePath);
        return held;
    }
}
